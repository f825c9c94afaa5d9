"""A certificate that was made to harm its reader is refused in one line, with bounded memory, by verify and gate."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardening.certificate.conclude import seal
from hardening.certificate.manifest import FILE_BYTES_MAX, FILES_MAX
from hardening.certificate.reports.every_report import as_text

MEMORY_BYTES_MAX = 800 * 2**20
DEEP = 200_000


def edited(**values: Any) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        certificate = json.loads((directory / "certificate.json").read_text())
        certificate["predicate"].update(values)
        (directory / "certificate.json").write_text(as_text(certificate))
        seal(directory, None)

    return change


def replaced(name: str, text: str) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        (directory / name).write_text(text)
        if name != "manifest.json":
            seal(directory, None)

    return change


def sparse(name: str, size: int) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        with (directory / name).open("r+b") as file:
            file.truncate(size)

    return change


def many_files(directory: Path) -> None:
    for number in range(FILES_MAX):
        (directory / "sessions").mkdir(exist_ok=True)
        (directory / "sessions" / f"{number}.json").touch()


def much_in_all(directory: Path) -> None:
    for number in range(5):
        with (directory / "histories" / f"more-{number}.jsonl").open("wb") as file:
            file.truncate(FILE_BYTES_MAX)


def a_link_to_everything(directory: Path) -> None:
    (directory / "junit.xml").unlink()
    (directory / "junit.xml").symlink_to("/proc/self/mem")


def a_name_for_a_terminal(directory: Path) -> None:
    (directory / "histories" / "x\x1b[2J\ngate open: PASSED").touch()


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "lists in lists": (replaced("certificate.json", "[" * DEEP), "it cannot be read: RecursionError"),
    "objects in objects": (replaced("certificate.json", '{"a":' * DEEP), "it cannot be read: RecursionError"),
    "a nested manifest": (replaced("manifest.json", "[" * DEEP), "manifest.json"),
    "a nested event": (replaced("histories/deployment.jsonl", "[" * DEEP + "\n"), "it cannot be read: RecursionError"),
    "a number of many digits": (replaced("certificate.json", "1" * 10_000), "it cannot be read: ValueError"),
    "the year 9999": (edited(finished_at="9999-12-31T23:59:59+00:00"), "it cannot be read: OverflowError"),
    "a waiver to the end of time": (
        edited(waivers=[{"claim": "C7.2", "owner": "x", "reason": "x", "expiry": "9999-12-31", "state": "used"}]),
        "expiry is 9999-12-31",
    ),
    "a history of 1.5 GB": (sparse("histories/deployment.jsonl", 1_500_000_000), "has 1,500,000,000 bytes, allowed"),
    "a certificate of 1.5 GB": (sparse("certificate.json", 1_500_000_000), "certificate.json has 1,500,000,000 bytes"),
    "a manifest of 1.5 GB": (sparse("manifest.json", 1_500_000_000), "manifest.json has 1,500,000,000 bytes"),
    "many files": (many_files, "the directory holds more than may be read"),
    "much in all": (much_in_all, "the directory holds more than may be read"),
    "a name that rules a terminal": (a_name_for_a_terminal, "histories/x?[2J gate open: PASSED was added"),
    "a link to memory": (a_link_to_everything, "junit.xml is not a plain file"),
}


@pytest.mark.parametrize("command", ["verify", "gate"])
@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_in_one_line_with_bounded_memory(
    certificate: Callable[[str], Path], command: str, name: str
) -> None:
    change, said = HOSTILE[name]
    directory = certificate("passing")
    change(directory)

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))

    argv = [sys.executable, "-m", "hardening.commands.cli", command, str(directory)]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=60, check=False, preexec_fn=bounded, env={**os.environ}
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    (line,) = [line for line in done.stdout.splitlines() if "intact" in line.lower()]
    assert said in line
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("name", ["lists in lists", "a nested event", "a history of 1.5 GB"])
def test_its_page_is_refused_in_one_line_and_exit_2(certificate: Callable[[str], Path], name: str) -> None:
    directory = certificate("passing")
    HOSTILE[name][0](directory)
    argv = [sys.executable, "-m", "hardening.commands.cli", "report", str(directory)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


def test_a_baseline_of_lists_in_lists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("[" * DEEP)
    words = ["certify", "--out", str(tmp_path / "out"), "--baseline", str(tmp_path / "old.json")]
    done = subprocess.run(
        [sys.executable, "-m", "hardening.commands.cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "allowed: a certificate.json of an earlier run" in done.stderr
