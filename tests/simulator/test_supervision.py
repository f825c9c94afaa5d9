# ruff: noqa: ANN001 - fixtures and parameters
"""Trouble that is not the program's verdict: blocked steps, dead processes and internal errors end with exit code 4."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = """
import asyncio, ctypes, re, threading
from hardening.simulator import io

LOCK, CACHE = threading.Lock(), {}

async def segfault():
    await asyncio.sleep(1)
    ctypes.string_at(0)

async def blocks_on_a_real_lock():
    LOCK.acquire()
    LOCK.acquire()

async def burns():
    while True:
        pass

async def remembers():
    await asyncio.sleep(0.1)
    assert "user" not in CACHE
    CACHE["user"] = 1

async def racy():
    order = []
    async def one(name, low):
        await io(low, 1.0)
        order.append(name)
    await asyncio.gather(asyncio.create_task(one("a", 0.0), name="a"), asyncio.create_task(one("b", 0.1), name="b"))
    assert order == ["a", "b"]

async def idle():
    await asyncio.sleep(1)
"""


@pytest.fixture
def shell(tmp_path: Path):
    (tmp_path / "programs.py").write_text(PROGRAMS)

    def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hardening.commands.explore", f"programs.py:{program}", "--seed", "1", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    return run


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("segfault", "the process died of SIGSEGV at"),
        ("blocks_on_a_real_lock", "a step blocks for more than 0.5 s at"),
        ("burns", "a step blocks for more than 0.5 s at"),
    ],
)
def test_a_step_that_does_not_come_back_is_4_with_its_place_and_no_hang(shell, program, says):
    done = shell(program, "--step-seconds", "0.5")
    assert done.returncode == 4
    assert says in done.stderr
    assert f"in {program}" in done.stderr


def test_a_failure_is_confirmed_in_a_fresh_process_before_it_counts_as_one(shell):
    done = shell("racy")
    assert done.returncode == 1
    assert "\nconfirmed: it fails in a fresh process too" in done.stdout


def test_state_that_lives_on_is_named_as_the_cause_of_a_failure_that_a_fresh_process_does_not_repeat(shell):
    done = shell("remembers")
    assert "NOT confirmed" in done.stdout
    assert "programs.CACHE: dict of 0, now dict of 1" in done.stdout
    assert shell("remembers", "--isolate", "--runs", "20").returncode == 0


def test_isolated_runs_find_and_shrink_what_others_do(shell):
    plain, isolated = (shell("racy", *words, "--json") for words in ((), ("--isolate",)))
    assert isolated.returncode == 1
    assert isolated.stdout.count('"confirmed": true') == plain.stdout.count('"confirmed": true') == 1
    digest = [line for line in plain.stdout.splitlines() if '"digest"' in line]
    assert digest == [line for line in isolated.stdout.splitlines() if '"digest"' in line]


def test_a_search_ends_after_the_seconds_it_is_given(shell):
    done = shell("idle", "--runs", "100000000", "--seconds", "0.5")
    assert done.returncode == 0
    assert " schedules, " in done.stdout
