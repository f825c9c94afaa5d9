"""Runs ``hardening load`` and Locust as a user does: as subprocesses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hardening.runs.load import locustfile

SMALL_WINDOW = 60


def certify(*arguments: str) -> Any:
    """``hardening certify ...``; its end."""
    argv = [sys.executable, "-m", "hardening.commands.cli", "certify", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=150, check=False)


def hardening(*arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 110) -> Any:
    """``hardening load ...``; its end."""
    argv = [sys.executable, "-m", "hardening.commands.cli", "load", *arguments]
    whole = {**os.environ, **(env or {})}
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False, env=whole)


def scaled(directory: Path, accepted: int = SMALL_WINDOW, **latency_ms: float) -> list[str]:
    """Options for a smaller window, so that a busy machine need not serve three hundred requests in seconds.

    Latencies are not what such a run is about: their limits are those of a machine that does much else.
    """
    settings, limits = directory / "settings.json", directory / "budgets.toml"
    settings.write_text(json.dumps({"budgets": {"accepted_per_window": accepted}}), encoding="utf-8")
    lines = ["[rate]", f"accepted_max = {accepted}", f"accepted_overload_min = {int(accepted * 0.95)}"]
    for endpoint in ("signal", "batch", "alert", "critical"):
        lines.append(f"[latency.{endpoint}]")
        lines += [f"{name}_ms_max = {latency_ms.get(name, 5000)}" for name in ("p50", "p95", "p99", "p99_9")]
    limits.write_text("\n".join(lines) + "\n[cpu]\ncpu_share_max = 8\n[recovery]\nspike_s_max = 60\n", encoding="utf-8")
    return ["--settings", str(settings), "--budgets", str(limits)]


def verdicts(done: Any) -> dict[str, dict[str, Any]]:
    """The budget lines of a run with ``--json``."""
    assert done.stdout.startswith("{"), done.stderr[-2000:]
    return {one["name"]: one for one in json.loads(done.stdout)["budgets"]}


@contextmanager
def served() -> Iterator[dict[str, str]]:
    """A running ``hardening serve``; its facts."""
    argv = [sys.executable, "-m", "hardening.commands.cli", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def locust(*arguments: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Plain Locust on our file."""
    argv = [sys.executable, "-m", "locust", "-f", str(locustfile()), *arguments]
    return subprocess.Popen(argv, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
