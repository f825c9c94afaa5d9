"""Child processes of the live world: started, written down, listened to, ended in order, never lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psutil

from hardening.faults.children import tied
from hardening.faults.run_directory import OwnedPid, RunDirectory

_LINE_BYTES_MAX = 8 * 1024 * 1024
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH")


class ProcessError(RuntimeError):
    """A process of the world did not do what it had to; the message names it and its last words."""


def free_port() -> int:
    """A port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a child gets to see: nothing of the caller's settings or secrets leaks into the world."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", **(extra or {})}


@dataclass(slots=True)
class Child:
    """One child process. ``on_line`` is given every line it writes (stdout and stderr), without its newline."""

    name: str
    argv: Sequence[str]
    run: RunDirectory
    env: Mapping[str, str] = field(default_factory=dict)
    on_line: Callable[[str], None] = lambda _line: None
    tail: list[str] = field(default_factory=list)
    owned: OwnedPid | None = None
    _process: asyncio.subprocess.Process | None = None
    _reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it; its lines are read from now on."""
        self.tail.clear()
        self._process = await asyncio.create_subprocess_exec(
            *self.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            **tied(self.run, self.name, clean_environment(self.env)),
            limit=_LINE_BYTES_MAX,
            # A group of its own: a Ctrl-C at the terminal is ours to pass on, in order.
            process_group=0,
        )
        with contextlib.suppress(psutil.NoSuchProcess):
            self.owned = self.run.own(self._process.pid, self.name)
        self._reader = asyncio.create_task(self._read(self._process.stdout), name=f"lines-{self.name}")

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line beyond the limit: what was read is dropped, reading goes on
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip("\n")
            self.tail.append(text)
            del self.tail[:-50]
            self.on_line(text)

    @property
    def pid(self) -> int:
        """Its pid; raises ProcessError when it was never started."""
        if self._process is None:
            raise ProcessError(f"{self.name} was never started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code (negative: the signal that ended it), ``None`` while it runs."""
        return None if self._process is None else self._process.returncode

    def running(self) -> bool:
        """True from start to exit, stopped or not."""
        return self._process is not None and self._process.returncode is None

    def stopped(self) -> bool:
        """True while it is under SIGSTOP."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return self.running() and psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        return False

    def send(self, number: int) -> None:
        """Send a signal; raises ProcessLookupError when it has ended."""
        if not self.running():
            raise ProcessLookupError(f"{self.name} is not running")
        os.kill(self.pid, number)

    async def wait(self, timeout_s: float | None) -> int:
        """Wait for its end and its last line; raises TimeoutError (``None``: wait for ever)."""
        assert self._process is not None
        async with asyncio.timeout(timeout_s):
            code = await self._process.wait()
            if self._reader is not None:
                await asyncio.shield(self._reader)
        return code

    async def stop(self, timeout_s: float = 12.0, number: int = signal.SIGTERM) -> int | None:
        """End it: continue it when stopped, ask by ``number``, and by SIGKILL when it does not listen."""
        if self._process is None:
            return None
        if self.running():
            with contextlib.suppress(ProcessLookupError):
                if self.stopped():
                    self.send(signal.SIGCONT)
                self.send(number)
            try:
                await self.wait(timeout_s)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self.send(signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            await self.wait(5)
        if self._reader is not None and not self._reader.done():
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        return self.exit_code


async def until(condition: Callable[[], bool], deadline_s: float, step_s: float = 0.01) -> bool:
    """Poll until it holds; False when ``deadline_s`` seconds passed first."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not condition():
        if loop.time() >= end:
            return False
        await asyncio.sleep(step_s)
    return True
