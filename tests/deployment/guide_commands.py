"""The commands of a guide: fenced ``console`` blocks, executed in order by one shell, and what they must say.

A block::

    ```console exit=1
    $ hardening verify certificate
    certificate: NOT INTACT: ...
    ```

Lines that begin with ``$ `` are commands (``> `` continues one); the lines below must occur in the output, in this
order, ``...`` standing for any text and any white space for any other. ``exit=N`` is the exit code of the block's last
command; all others are 0.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

FENCE = re.compile(r"^```console(?P<options>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(slots=True)
class Command:
    """One command, its expected exit code and lines, and the line of the guide where it stands."""

    text: str
    line: int
    exit_code: int = 0
    expected: list[str] = field(default_factory=list)


class GuideError(ValueError):
    """A block that cannot be read; the message names its line."""


def commands(text: str) -> list[Command]:
    """Every command of a guide, in order.

    Raises:
        GuideError: output before any command, or an option that nobody knows.
    """
    found: list[Command] = []
    for block in FENCE.finditer(text):
        line = text[: block.start()].count("\n") + 1
        ours: list[Command] = []
        for number, one in enumerate(block["body"].splitlines(), line + 1):
            if one.startswith("$ "):
                ours.append(Command(one[2:], number))
            elif not ours:
                raise GuideError(f"line {number}: output before any command")
            elif (one == ">" or one.startswith("> ")) and not ours[-1].expected:
                ours[-1].text += "\n" + one[2:]
            elif one.strip() not in {"", "..."}:
                ours[-1].expected.append(one.strip())
        option = block["options"].strip()
        if option and not re.fullmatch(r"exit=\d+", option):
            raise GuideError(f"line {line}: console option is {option!r}, allowed: exit=N")
        if option and ours:
            ours[-1].exit_code = int(option.removeprefix("exit="))
        found += ours
    return found


def missing(expected: Sequence[str], output: str) -> str:
    """The first expected line that does not come, in order; empty when all do."""
    lines = iter(" ".join(line.split()) for line in output.splitlines())
    for wanted in expected:
        pattern = ".*".join(re.escape(part) for part in " ".join(wanted.split()).split("..."))
        if not any(re.fullmatch(pattern, line) for line in lines):
            return wanted
    return ""


def execute(guide: Sequence[Command], directory: Path, environment: Mapping[str, str], limit_s: float) -> list[str]:
    """Run the commands in one bash; what was not as the guide says, one text for each command.

    Whatever they leave running is ended.
    """
    marker = uuid.uuid4().hex
    script = "".join(f"{one.text}\nprintf '\\n%s %s\\n' {marker} $?\n" for one in guide)
    out = directory / f".{marker}"
    with out.open("w") as stream:
        process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", script],
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=dict(environment),
            start_new_session=True,
        )
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            pass  # what did not come to an end has no marker, and is told below
        finally:
            end_group(process.pid)
            process.wait(10)
    parts = re.split(rf"\n?{marker} (\d+)\n", out.read_text())
    outputs, codes = parts[::2], parts[1::2]
    return list(filter(None, (_judge(one, at, outputs, codes) for at, one in enumerate(guide))))


def _judge(one: Command, at: int, outputs: Sequence[str], codes: Sequence[str]) -> str:
    where = f"line {one.line}: $ {one.text}"
    if at >= len(codes):
        return f"{where}\ndid not end: {outputs[-1][-2000:] if at == len(codes) else 'never reached'}"
    if int(codes[at]) != one.exit_code:
        return f"{where}\nexit {codes[at]}, not {one.exit_code}:\n{outputs[at][-2000:]}"
    if wanted := missing(one.expected, outputs[at]):
        return f"{where}\nnever said {wanted!r}, but:\n{outputs[at][-2000:]}"
    return ""


def end_group(group: int) -> None:
    """End what still runs of a session that we began, gently first."""
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == group:
                left.append(process)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGTERM)
    for process in psutil.wait_procs(left, timeout=30)[1]:
        with contextlib.suppress(psutil.Error):
            process.kill()
