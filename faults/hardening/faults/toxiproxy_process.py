"""Finds a Toxiproxy server and runs it as a process of ours: a real binary, or the embedded proxy.

In: the environment's ``TOXIPROXY_URL``, ``TOXIPROXY_SERVER`` and ``PATH``. Out: the URL of a server that answers.
Errors: ``FileNotFoundError`` for a named binary that is not there, ``RuntimeError`` for one that does not start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from hardening.faults.children import tied

BOOT_DEADLINE_S = 10.0
STOP_DEADLINE_S = 5.0
TOKEN_VARIABLE = "HARDENING_PROXY_TOKEN"  # noqa: S105 - the name of a variable, not a secret


@dataclass(frozen=True, slots=True)
class Found:
    """Where a Toxiproxy is to be had.

    Attributes:
        how: ``url`` (it runs already), ``binary`` (named), ``path`` (found), ``embedded`` (ours).
        where: its URL, or the file; empty for the embedded one.
    """

    how: Literal["url", "binary", "path", "embedded"]
    where: str = ""


def find_toxiproxy(env: Mapping[str, str]) -> Found:
    """Choose: ``TOXIPROXY_URL``, ``TOXIPROXY_SERVER``, ``toxiproxy-server`` on the ``PATH``, else the embedded one.

    Raises:
        FileNotFoundError: when ``TOXIPROXY_SERVER`` names no program: a wrong setting must not be passed over.
    """
    if env.get("TOXIPROXY_URL"):
        return Found("url", env["TOXIPROXY_URL"])
    named = env.get("TOXIPROXY_SERVER")
    if named:
        program = shutil.which(named, path=env.get("PATH"))
        if program is None:
            raise FileNotFoundError(f"TOXIPROXY_SERVER is {named!r}, allowed: a program that can be run")
        return Found("binary", program)
    program = shutil.which("toxiproxy-server", path=env.get("PATH", ""))
    return Found("path", program) if program else Found("embedded")


class ToxiproxyProcess:
    """A server process; leaving the block ends it.

    It runs in a session of its own, so that a Ctrl-C at the terminal does not end it before faults are healed. The
    kernel ends it when this process dies; the embedded one also sees its standard input close.
    """

    def __init__(self, found: Found, *, seed: int | None = None, token: str | None = None) -> None:
        self._found = found
        self._seed = seed
        self._token = token
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        """Its process id; 0 before it was started."""
        return self._process.pid if self._process else 0

    async def __aenter__(self) -> Self:
        try:
            if self._found.how == "embedded":
                await self._start_embedded()
            else:
                await self._start_real()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stop()

    async def _start_embedded(self) -> None:
        arguments = ["-m", "hardening.proxy", "--port", "0", "--until-stdin-closes"]
        env = dict(os.environ)
        if self._seed is not None:
            arguments += ["--seed", str(self._seed)]
        if self._token:
            arguments += ["--token-env", TOKEN_VARIABLE]
            env[TOKEN_VARIABLE] = self._token
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            **tied(None, "toxiproxy", env),
        )
        if self._process.stdout is None:
            raise AssertionError("stdout was asked for")
        async with asyncio.timeout(BOOT_DEADLINE_S):
            line = (await self._process.stdout.readline()).decode()
        matched = re.match(r"listening on (http://\S+)", line)
        if matched is None:
            raise RuntimeError(f"the embedded proxy did not start: {line.strip() or 'it ended at once'}")
        self.url = matched[1]

    async def _start_real(self) -> None:
        """Take a free port and start; another process may be quicker, so try again."""
        for _ in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            self._process = await asyncio.create_subprocess_exec(
                *(self._found.where, "-host", "127.0.0.1", "-port", str(port), "-proxy-metrics"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                **tied(None, "toxiproxy"),
            )
            if await self._answers(port):
                self.url = f"http://127.0.0.1:{port}"
                return
            await self._stop()
        raise RuntimeError(f"{self._found.where} did not start")

    async def _answers(self, port: int) -> bool:
        """True when this process, not a stranger, listens on the port before the deadline."""
        process = self._process
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BOOT_DEADLINE_S):
                while process is not None and process.returncode is None:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                    except OSError:
                        await asyncio.sleep(0.01)
                        continue
                    writer.close()
                    return process.returncode is None
        return False

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_DEADLINE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        # asyncio keeps the pipes' transports until they see the end; without this they warn at exit.
        if process.stdin is not None:
            process.stdin.close()
        transport = getattr(process, "_transport", None)
        if transport is not None:
            transport.close()
