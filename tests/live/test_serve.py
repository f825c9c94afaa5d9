"""``hardening serve`` as a user starts it: an address, a key that works, and nothing left after Ctrl-C."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.live


@contextmanager
def serving(*words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    argv = [sys.executable, "-m", "hardening.commands.cli", "serve", "--port", "0", "--json", *words]
    env = {**os.environ, **environment}
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)


def get(curl: str) -> tuple[int, dict[str, Any]]:
    """What the printed curl line does."""
    words = shlex.split(curl)
    name, _, value = words[words.index("-H") + 1].partition(": ")
    request = urllib.request.Request(words[-1], headers={name: value})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, json.load(answer)


def test_the_printed_line_works_and_ctrl_c_leaves_nothing() -> None:
    with serving() as (process, facts):
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 3
        status, body = get(facts["curl"])
        assert status == 200
        assert body["symbol"] == "AAPL"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)
        assert process.returncode == 0
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        assert not Path(facts["run_directory"]).exists()


def test_candles_come_from_the_users_csv(tmp_path: Path) -> None:
    csv = tmp_path / "candles.csv"
    rows = [f"{1795000000 + i * 60},{100 + i},{101 + i},{99 + i},{100.5 + i},10" for i in range(60)]
    csv.write_text("time,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    with serving("--candles", str(csv)) as (_, facts):
        _, body = get(facts["curl"])
        assert body["price"] == 159.5
        assert body["as_of"] == 1795000000 + 59 * 60


def test_somebody_elses_redis_is_used_instead(redis_server_url: str) -> None:
    with serving(REDIS_URL=redis_server_url) as (process, facts):
        names = [child.name() for child in psutil.Process(process.pid).children(recursive=True)]
        assert not [name for name in names if "valkey" in name or "redis" in name]
        assert get(facts["curl"])[0] == 200


@pytest.fixture
def redis_server_url(tmp_path: Path) -> Iterator[str]:
    from hardening.worlds.live.processes import free_port
    from hardening.worlds.live.valkey import server_binary

    port = free_port()
    argv = [str(server_binary()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    process = subprocess.Popen([*argv, "--appendonly", "yes"], stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)
