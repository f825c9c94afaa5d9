"""What a harness holds in a process through its agent: one connection a hold, because a hold lasts as long as it.

In: the agent's socket. Out: what the agent reports; empty where its process has ended. ``UnsupportedTargetError``
without an agent, ``RefusedError`` when it cannot do what is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hardening.faults.base import UnsupportedTargetError
from hardening.faults.run_directory import RunDirectory
from hardening.worlds.rpc import Caller, GoneError, RefusedError


def agent_socket(run: RunDirectory, name: str = "service") -> Path:
    """Where the agent of a process listens: give it to the launcher as ``--agent``."""
    return run.path / f"{name}.agent"


class AgentHolds:
    """The holds of one harness on one process, by a key of the caller's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[str, Caller] = {}

    async def _open(self) -> Caller:
        try:
            return await Caller.open(self.path)
        except GoneError:
            raise
        except OSError as error:
            allowed = f"a process with an agent ({self.path.name}: {error.strerror or error})"
            raise UnsupportedTargetError("fault.target", "service", allowed) from error

    async def hold(self, key: str, what: str, **given: Any) -> dict[str, Any]:
        """Hold ``what``; returns what the agent says, nothing when its process has ended: there is nothing to hold.

        Raises:
            UnsupportedTargetError: without an agent.
            RefusedError: when it cannot.
        """
        if key in self._held:
            raise RefusedError("usage", f"{key} is held already")
        try:
            connection = await self._open()
        except GoneError:
            return {}
        try:
            said = await connection.ask("hold", what, **given)
        except GoneError:
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
        connection = await self._open()
        try:
            return await connection.ask(do, **given)
        finally:
            await connection.close()

    async def close(self) -> None:
        """Let go of everything."""
        held, self._held = self._held, {}
        for connection in held.values():
            await connection.close()
