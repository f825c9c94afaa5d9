"""Who holds asyncio's locks and semaphores: noted while a run is traced, for the report of a run that is stuck."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from hardening.simulator.core.loop_view import LoopView


class Holders:
    """Patches their classes while it is entered; adds no step to any schedule."""

    def __init__(self, loop: LoopView) -> None:
        self._held: dict[int, list[str]] = loop.attachments.setdefault("holders", {})
        self._keep: list[object] = []
        self._undo: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Self:
        for kind in (asyncio.Lock, asyncio.Semaphore):
            self._undo += [(kind, "acquire", kind.acquire), (kind, "release", kind.release)]
            kind.acquire = self._acquire(kind.acquire)  # type: ignore[method-assign]
            kind.release = self._release(kind.release)  # type: ignore[method-assign]
        return self

    def __exit__(self, *exc: object) -> None:
        for kind, name, real in self._undo:
            setattr(kind, name, real)

    def _acquire(self, real: Any) -> Any:
        held, keep = self._held, self._keep

        async def acquire(lock: Any) -> Any:
            got = await real(lock)
            task = asyncio.current_task()
            if id(lock) not in held:
                keep.append(lock)
            held.setdefault(id(lock), []).append(task.get_name() if task else "nobody")
            return got

        return acquire

    def _release(self, real: Any) -> Any:
        held = self._held

        def release(lock: Any) -> None:
            names = held.get(id(lock), [])
            task = asyncio.current_task()
            name = task.get_name() if task else ""
            if names:
                names.remove(name if name in names else names[0])
            real(lock)

        return release
