"""An installation breaks nothing of a repository that has packages with the names of our folders."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from foreign_repository import Repository, repository

pytestmark = pytest.mark.live


@pytest.fixture(scope="module", params=[True, False], ids=["with __init__", "without __init__"])
def foreign(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return repository(tmp_path_factory.mktemp("foreign"), with_init=request.param)


def passed(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("how", ["not installed", "editable", "wheel"])
def test_their_pytest_runs_beside_ours(foreign: Repository, how: str) -> None:
    foreign.installed(how)
    if how != "not installed":
        passed(foreign.run("pytest", "-q", "-p", "no:cacheprovider"))
    passed(foreign.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider"))


@pytest.mark.parametrize("how", ["not installed", "wheel"])
def test_our_service_starts_inside_their_repository(foreign: Repository, how: str) -> None:
    foreign.installed(how)
    argv = [str(foreign.python.with_name("hardening")), "serve", "--port", "0", "--json"]
    with subprocess.Popen(
        argv, cwd=foreign.root, env=foreign.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        assert serving.stderr is not None
        line = serving.stdout.readline()
        serving.send_signal(signal.SIGINT)
        assert line, serving.stderr.read()
        assert json.loads(line)["service"].startswith("http://127.0.0.1:")
        assert serving.wait(timeout=40) == 0


def test_the_commands_know_their_release_inside_their_repository(foreign: Repository) -> None:
    done = foreign.run("hardening", "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hardening 0.")
