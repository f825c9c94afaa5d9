"""Reading what a Redis server says of itself: INFO and CONFIG GET, whatever the client made of the reply."""

from __future__ import annotations

from typing import Any, Protocol


class Commands(Protocol):
    """Anything that runs a Redis command: a server or one session."""

    async def command(self, *words: str | bytes | int) -> Any:
        """Run it."""


def text(value: object) -> str:
    """A reply word as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


async def config(server: Commands, pattern: str) -> dict[str, str]:
    """The settings that match ``pattern``, as text."""
    reply = await server.command("CONFIG", "GET", pattern)
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {text(name): text(value) for name, value in pairs}


async def info(server: Commands, section: str) -> dict[str, Any]:
    """One section of INFO; numbers as numbers, ``a=1,b=2`` as a dict."""
    reply = await server.command("INFO", section)
    return dict(reply)


async def refusals(server: Commands, error: str) -> int:
    """How many commands the server has answered with ``error`` (``OOM``, ``READONLY``, ``LOADING``) so far."""
    entry = (await info(server, "errorstats")).get(f"errorstat_{error}", {})
    return int(entry.get("count", 0)) if isinstance(entry, dict) else int(str(entry).rpartition("=")[2])
