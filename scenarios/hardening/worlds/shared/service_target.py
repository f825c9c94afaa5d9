"""The service as a target of faults, in whatever world: its process and the moments of its work, and its listener.

In: the world's ``ServiceHandle``. Signals are sent to it; what it is doing is read from the events that it logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from signal import SIGHUP
from typing import Any

from hardening.faults.base import UnsupportedTargetError
from hardening.worlds.service_handle import ServiceHandle


class ServiceTarget:
    """Implements ``Process`` and ``Moments`` of ``hardening.faults.targets``."""

    def __init__(self, service: ServiceHandle) -> None:
        self._service = service
        self._waiting: list[tuple[str, asyncio.Event]] = []
        self.signal = service.signal
        self.start = service.start
        service.on_event.append(self._look)

    async def alive(self) -> bool:
        """See ``hardening.faults.targets.Process``."""
        return self._service.running()

    async def stopped(self) -> bool:
        """See ``hardening.faults.targets.Process``."""
        return self._service.stopped()

    async def reached(self, moment: str, deadline_s: float) -> bool:
        """See ``hardening.faults.targets.Moments``; ``mid_reload`` sends HUP and is reached at once."""
        if moment == "mid_reload":
            await self._service.signal(SIGHUP)
            return True
        entry = (moment, asyncio.Event())
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(deadline_s):
                await entry[1].wait()
        except TimeoutError:
            return False
        finally:
            self._waiting.remove(entry)
        return True

    def _look(self, event: str, fields: Mapping[str, Any]) -> None:
        for moment, seen in self._waiting:
            if _is_moment(moment, event, fields):
                seen.set()


def _is_moment(moment: str, event: str, fields: Mapping[str, Any]) -> bool:
    """Whether this event shows that ``moment`` has come."""
    if moment == "before_first_byte":
        return event in {"admitted", "permit_taken"}
    if moment == "mid_request":
        # The request waits for a downstream, or for another request that does.
        return event == "attempt" or (event == "cache" and fields.get("event") in {"load", "join"})
    return moment == "in_drain" and event == "drain" and fields.get("phase") == "begin"


class ServiceListener:
    """Implements ``Listener``: where the service's clients connect, and the key that they send."""

    def __init__(self, address: Callable[[], tuple[str, int] | None], key: str) -> None:
        self._address = address
        self._key = key
        self._last: tuple[str, int] | None = None

    def address(self) -> tuple[str, int]:
        """See ``hardening.faults.targets.Listener``; while it is down, where it listened before.

        Raises:
            UnsupportedTargetError: when it never listened.
        """
        self._last = self._address() or self._last
        if self._last is None:
            raise UnsupportedTargetError("fault.target", "service", "a service that listens")
        return self._last

    def headers(self) -> Mapping[str, str]:
        """See ``hardening.faults.targets.Listener``."""
        return {"X-API-Key": self._key}
