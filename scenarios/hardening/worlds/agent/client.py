"""Talking to the agent inside a process: one connection per hold, because a hold lasts as long as its connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any, Self

from hardening.faults.base import UnsupportedTargetError
from hardening.faults.run_directory import RunDirectory

ANSWER_S_MAX = 60.0


def agent_socket(run: RunDirectory, name: str = "service") -> Path:
    """Where the agent of a process listens: give it to the launcher as ``--agent``."""
    return run.path / f"{name}.agent"


class AgentRefusedError(RuntimeError):
    """The agent answered that it could not; the message is its own."""


class AgentGoneError(ConnectionError):
    """The agent's process has ended; another one may be started in its place."""


class AgentConnection:
    """One connection; what it holds is let go when it is closed, by whatever."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Connect.

        Raises:
            AgentGoneError: when its process has ended.
            UnsupportedTargetError: when there never was an agent.
        """
        try:
            return cls(*await asyncio.open_unix_connection(path))
        except ConnectionRefusedError as error:
            raise AgentGoneError(str(error)) from error
        except OSError as error:
            allowed = f"a process with an agent ({path.name}: {error.strerror or error})"
            raise UnsupportedTargetError("fault.target", "service", allowed) from error

    async def ask(self, do: str, what: str = "", **given: Any) -> dict[str, Any]:
        """One question.

        Raises:
            AgentRefusedError: with what the agent said.
            AgentGoneError: when its process has ended.
        """
        line = json.dumps({"do": do, "what": what, "with": given}).encode() + b"\n"
        async with self._turn, asyncio.timeout(ANSWER_S_MAX):
            self._writer.write(line)
            await self._writer.drain()
            answer = await self._reader.readline()
        if not answer:
            raise AgentGoneError("the agent's process has ended")
        said: dict[str, Any] = json.loads(answer)
        if "error" in said:
            raise AgentRefusedError(said["error"])
        result: dict[str, Any] = said["ok"]
        return result

    async def close(self) -> None:
        """Close it."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class AgentHolds:
    """The holds of one harness on one process, by a key of the caller's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[str, AgentConnection] = {}

    async def hold(self, key: str, what: str, **given: Any) -> dict[str, Any]:
        """Hold ``what``; returns what the agent says, nothing when its process has ended: there is nobody to hurt.

        Raises:
            UnsupportedTargetError: without an agent.
            AgentRefusedError: when it cannot.
        """
        if key in self._held:
            raise AgentRefusedError(f"{key} is held already")
        try:
            connection = await AgentConnection.open(self.path)
        except AgentGoneError:
            return {}
        try:
            said = await connection.ask("hold", what, **given)
        except AgentGoneError:
            await connection.close()
            return {}
        except BaseException:
            await connection.close()
            raise
        self._held[key] = connection
        return said

    async def read(self, key: str, what: str, **given: Any) -> dict[str, Any]:
        """Counts so far; empty when it is not held or its process has ended."""
        connection = self._held.get(key)
        if connection is None:
            return {}
        try:
            return await connection.ask("read", what, **given)
        except ConnectionError:
            return {}

    async def release(self, key: str, what: str, **given: Any) -> dict[str, float]:
        """Let go; returns the final counts, none when it was not held or its process has ended."""
        connection = self._held.pop(key, None)
        if connection is None:
            return {}
        try:
            return await connection.ask("release", what, **given)
        except ConnectionError:
            return {}
        finally:
            await connection.close()

    async def once(self, do: str, **given: Any) -> dict[str, Any]:
        """One question that holds nothing."""
        connection = await AgentConnection.open(self.path)
        try:
            return await connection.ask(do, **given)
        finally:
            await connection.close()

    async def close(self) -> None:
        """Let go of everything."""
        held, self._held = self._held, {}
        for connection in held.values():
            await connection.close()
