"""The deployment gate's workflow: sound by structure, by actionlint, and by running its commands."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import psutil
import pytest
import yaml
from command_lines import parse, simple_commands

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
VALIDATION = ROOT / ".github" / "workflows" / "deployment-validation.yml"
PINNED = re.compile(r"uses: (?P<name>[\w./-]+)@(?P<commit>[0-9a-f]{40}) # v(?P<major>\d+)(\.\d+){2}$")
INSTALLED_BY_STEPS = {"pip", "tox"}
ON_THE_RUNNER = {"go"}
"""Programs of GitHub's image that a machine of ours may lack."""


def read(path: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text())
    return loaded


def jobs() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(VALIDATION)["jobs"]
    return found


def steps(path: Path) -> Iterator[dict[str, Any]]:
    data = read(path)
    for part in data.get("jobs", {"": data.get("runs", {})}).values():
        yield from part["steps"]


def scripts() -> list[str]:
    return [step["run"] for path in (*WORKFLOWS, *ACTIONS) for step in steps(path) if "run" in step]


def test_every_command_of_every_step_exists_with_its_options() -> None:
    ours = 0
    for script in scripts():
        for words in simple_commands(script):
            if words[0] == "hardening":
                parse(words)
                ours += 1
            elif words[:2] == ["python", "-m"]:
                assert words[2] in INSTALLED_BY_STEPS or importlib.util.find_spec(words[2]), words
            elif words[0] not in ON_THE_RUNNER:
                asked = subprocess.run(["bash", "-c", 'type "$0"', words[0]], capture_output=True, check=False)
                assert asked.returncode == 0, words
    assert ours >= 5


@pytest.mark.parametrize("line", ["hardening gaet x", "hardening gate x --forgive", "hardening proxy --port many"])
def test_a_command_that_is_misspelt_is_found(line: str) -> None:
    (words,) = simple_commands(line)
    with pytest.raises(click.UsageError):
        parse(words)


def test_every_action_is_pinned_to_a_commit_that_is_named() -> None:
    for path in (*WORKFLOWS, *ACTIONS):
        for line in path.read_text().splitlines():
            if "uses:" in line and "uses: ./" not in line:
                assert PINNED.search(line), f"{path.name}: {line.strip()}"


def test_every_local_action_and_file_that_is_named_is_there() -> None:
    local = [step["uses"] for path in WORKFLOWS for step in steps(path) if step.get("uses", "").startswith("./")]
    assert local
    assert all((ROOT / name / "action.yml").exists() for name in local)
    files = [word for script in scripts() for words in simple_commands(script) for word in words]
    named = [word for word in files if word.startswith("deploy/") or word.endswith(".txt")]
    assert {"deploy/service.json", "allow-unknown.txt"} <= set(named)
    assert all((ROOT / name).exists() for name in named)


def test_it_may_read_the_repository_and_nothing_more() -> None:
    assert read(VALIDATION)["permissions"] == {"contents": "read"}
    assert not [name for name, job in jobs().items() if "permissions" in job]
    checkouts = [step for step in steps(VALIDATION) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    # Anybody may write a title or a branch's name: they reach a shell only as variables.
    assert not [script for script in scripts() if "${{" in script]


def test_every_job_is_bounded_and_pushes_to_one_branch_follow_each_other() -> None:
    assert all(0 < job["timeout-minutes"] <= 60 for job in jobs().values())
    assert "github.ref" in read(VALIDATION)["concurrency"]["group"]


def test_the_gate_waits_for_every_other_job_and_is_never_skipped() -> None:
    gate = jobs()["gate"]
    assert set(gate["needs"]) == set(jobs()) - {"gate"}
    assert gate["if"] == "${{ !cancelled() }}"
    *_, command, others = gate["steps"]
    assert command["run"] == "hardening gate certificate/certificate.json --this-code --require-passed"
    assert "if" not in command
    successes = " ".join(["success"] * len(gate["needs"]))
    assert f"join(needs.*.result, ' ') != '{successes}'" in others["if"]
    assert others["run"].strip().endswith("exit 1")
    assert not [step for path in WORKFLOWS for step in steps(path) if "continue-on-error" in step]


def test_what_certify_wrote_is_kept_and_summed_up_though_it_failed() -> None:
    certify = jobs()["certify"]["steps"]
    kept = next(step for step in certify if "upload-artifact" in step.get("uses", ""))
    summed = next(step for step in certify if "GITHUB_STEP_SUMMARY" in step.get("run", ""))
    assert kept["if"] == summed["if"] == "${{ !cancelled() }}"
    assert kept["with"]["if-no-files-found"] == "error"
    fetched = next(step for step in jobs()["gate"]["steps"] if "download-artifact" in step.get("uses", ""))
    assert fetched["with"] == {"name": kept["with"]["name"], "path": "certificate"}


def actionlint(directory: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    program = os.environ.get("ACTIONLINT") or shutil.which("actionlint")
    if program is None:
        assert not os.environ.get("REQUIRE_ACTIONLINT"), "REQUIRE_ACTIONLINT is set and there is no actionlint"
        pytest.skip("no actionlint: go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 brings it")
    argv = [program, "-no-color", *map(str, files)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=directory)


def in_a_repository(directory: Path, change: Mapping[str, str] | None = None) -> list[Path]:
    """The workflows as a repository of their own, with texts replaced."""
    shutil.copytree(ROOT / ".github", directory / ".github")
    (directory / ".git").mkdir()
    found = sorted((directory / ".github" / "workflows").glob("*.yml"))
    for path in found:
        text = path.read_text()
        for old, new in (change or {}).items():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
    return found


def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    done = actionlint(tmp_path, *in_a_repository(tmp_path))
    assert (done.returncode, done.stdout) == (0, "")


def test_actionlint_finds_nothing_in_the_inputs_of_the_actions_either(tmp_path: Path) -> None:
    # It knows the inputs of an action by its major version, not by a commit.
    found = in_a_repository(tmp_path)
    for path in found:
        path.write_text(re.sub(PINNED.pattern, r"uses: \g<name>@v\g<major>", path.read_text(), flags=re.MULTILINE))
        assert "@v5" in path.read_text()
    done = actionlint(tmp_path, *found)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    "change",
    [
        {"needs.*.result": "need.*.result"},
        {"timeout-minutes: 15": "timeout-minuts: 15"},
        {"needs: [preflight, ": "needs: [preflght, "},
    ],
)
def test_actionlint_would_find_a_mistake(tmp_path: Path, change: dict[str, str]) -> None:
    assert actionlint(tmp_path, *in_a_repository(tmp_path, change)).returncode == 1


class Runner:
    """Runs steps as a runner does: bash, variables of ``GITHUB_ENV`` for the steps that follow, one directory."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.directory = directory
        self.github_env = directory / "github.env"
        self.github_env.touch()
        # The installed command, found before anything else of that name.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "GITHUB_ENV": str(self.github_env), "PATH": path, **environment}

    def run(self, script: str) -> tuple[int, str]:
        told = dict(line.split("=", 1) for line in self.github_env.read_text().splitlines())
        out = self.directory / "out.txt"
        with out.open("w") as stream:
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=150,
                check=False,
                cwd=self.directory,
                env={**self.environment, **told},
            )
        return done.returncode, out.read_text()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    yield Runner(tmp_path)
    ours = [process for process in psutil.process_iter(["cwd", "cmdline"]) if process.info["cwd"] == str(tmp_path)]
    for process in ours:
        if "serve" in process.info["cmdline"]:
            process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(ours, timeout=40)
    assert not alive


@pytest.mark.live
def test_the_preflight_jobs_steps_pass_as_they_stand_and_refuse_what_must_not_go_live(runner: Runner) -> None:
    boot, check = (step["run"] for step in jobs()["preflight"]["steps"] if "run" in step)
    code, said = runner.run(boot)
    assert code == 0, said
    code, said = runner.run(check)
    assert (code, said.splitlines()[-1]) == (0, "preflight: ok")
    runner.environment["SIGNAL_DEBUG"] = "true"
    code, said = runner.run(check)
    assert (code, said) == (1, "debug: must be off outside development\npreflight: refused, 1 fault\n")
