"""A connection that does not let itself be closed, inside the service's process.

A close may fail after it did its work: a TLS shutdown that the peer does not answer, a descriptor that somebody else
closed. The variable of the environment asks for it; the first HTTP client that is closed then closes, and raises.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping

import httpx

VARIABLE = "HARDENING_UNCLOSABLE"
ASKED_FOR: Mapping[str, str] = {VARIABLE: "1"}
"""The environment that asks for it."""


@contextlib.contextmanager
def unclosable(environment: Mapping[str, str]) -> Iterator[None]:
    """While inside, the first ``httpx.AsyncClient`` that is closed raises OSError (EIO); if ``environment`` asks."""
    if not environment.get(VARIABLE):
        yield
        return
    close = httpx.AsyncClient.aclose
    failed: list[str] = []

    async def fails_once(client: httpx.AsyncClient) -> None:
        await close(client)
        if not failed:
            failed.append(str(client.base_url))
            raise OSError(errno.EIO, "closing failed (injected)")

    httpx.AsyncClient.aclose = fails_once  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        httpx.AsyncClient.aclose = close  # type: ignore[method-assign]


def taken_from_environment() -> dict[str, str]:
    """The variable, out of the environment of this process."""
    asked = os.environ.pop(VARIABLE, "")
    return {VARIABLE: asked} if asked else {}
