"""AnyIO's worker threads inside a simulation: the function runs inline, under AnyIO's own limiter, some time later.

FastAPI runs plain ``def`` endpoints and dependencies this way. A thread of the operating system would never be
scheduled by a virtual clock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from anyio import to_thread
from anyio._backends import _asyncio as backend
from anyio._core import _eventloop as eventloop

from hardening.simulator.adapters.stdlib import Sandbox


@contextlib.contextmanager
def inline_threads(box: Sandbox) -> Iterator[None]:
    """Patch AnyIO's asyncio backend while the context lasts; outside a run it behaves as always."""
    kind = backend.AsyncIOBackend
    real = kind.__dict__["run_sync_in_worker_thread"]

    # What makes ``anyio.from_thread`` know that it is asked from a worker; older versions of AnyIO do without.
    claim: Any = getattr(eventloop, "claim_worker_thread", contextlib.nullcontext)

    def claimed(cls: Any, loop: Any, func: Callable[..., Any], args: Any) -> Any:
        with claim(cls, loop) if claim is not contextlib.nullcontext else claim():
            return func(*args)

    async def in_thread(
        cls: Any, func: Callable[..., Any], args: Any, abandon_on_cancel: bool = False, limiter: Any = None
    ) -> Any:
        loop = box.loop
        if loop is None:
            return await real.__func__(cls, func, args, abandon_on_cancel, limiter)
        await cls.checkpoint()
        async with limiter or to_thread.current_default_thread_limiter():
            # A thread cannot be cancelled: unless it may be abandoned, the wait for it is shielded.
            with backend.CancelScope(shield=not abandon_on_cancel):
                return await loop.run_in_executor(None, claimed, cls, loop, func, args)

    kind.run_sync_in_worker_thread = classmethod(in_thread)  # type: ignore[assignment]
    try:
        yield
    finally:
        kind.run_sync_in_worker_thread = real  # type: ignore[method-assign]
