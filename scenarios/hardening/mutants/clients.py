"""Broken clients and breakers."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import httpx

from hardening.mutants.patching import put
from signal_service.clients import retry
from signal_service.clients.breaker import Breaker, Ticket
from signal_service.clients.downstream import Downstream
from signal_service.clients.errors import BreakerOpenError
from signal_service.clients.factory import ClientManager
from signal_service.clients.transport import DeadlineBackend


def half_open_lets_all_through() -> None:
    """While half open every caller is a probe: the herd that a recovering downstream does not survive."""
    acquire = Breaker.acquire

    def generous(self: Breaker) -> Ticket:
        try:
            return acquire(self)
        except BreakerOpenError:
            if self.state == "half_open":
                return Ticket(self, self.generation, False)
            raise

    put(Breaker, "acquire", generous)


def cancellations_counted_as_failures() -> None:
    """A caller that hangs up counts against the downstream: impatient clients open the breaker."""
    put(Ticket, "release", lambda self: self.failure())


def one_breaker_for_all() -> None:
    """When one downstream's breaker opens, every other opens with it: one shared state for four."""
    everyone: list[Breaker] = []
    init, move = Breaker.__init__, Breaker._move

    def remember(self: Breaker, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        everyone.append(self)

    def together(self: Breaker, cause: Any) -> None:
        move(self, cause)
        for other in everyone:
            if self.state == "open" and other.state == "closed":
                move(other, "failures")

    put(Breaker, "__init__", remember)
    put(Breaker, "_move", together)


def no_jitter() -> None:
    """Waits between attempts are all alike: every client comes back in step."""
    put(retry, "full_jitter", lambda _settings, _rng, _attempt: 0.2)


def posts_without_key() -> None:
    """The idempotency key is lost on the way out: a retried delivery acts twice."""
    stream = httpx.AsyncClient.stream

    def keyless(self: httpx.AsyncClient, *args: Any, **kwargs: Any) -> Any:
        kwargs.get("headers", {}).pop("Idempotency-Key", None)
        return stream(self, *args, **kwargs)

    put(httpx.AsyncClient, "stream", keyless)


def clients_never_closed() -> None:
    """Shutdown forgets the clients."""

    async def forget(_self: ClientManager) -> None:
        return None

    put(ClientManager, "aclose", forget)


def close_failure_ends_the_closing() -> None:
    """Clients are closed one after the other, and nobody thought that one might raise."""

    async def hasty(self: ClientManager) -> None:
        for name, downstream in self.downstreams.items():
            await downstream.aclose()
            self._world.emit("client", name=name, event="closed")

    put(ClientManager, "aclose", hasty)


def breaker_never_half_opens() -> None:
    """The timer of an open breaker is never looked at again: one outage lasts until a restart."""
    wait_s = vars(Breaker)["wait_s"].fget
    put(Breaker, "wait_s", property(lambda self: 3600.0 if self.state == "open" else wait_s(self)))


def resolver_errors_are_fatal() -> None:
    """A name that does not resolve raises where nobody catches it, and takes the process along."""
    look_up = DeadlineBackend._look_up

    async def fatal(self: DeadlineBackend, host: str, port: int) -> list[str]:
        found = await look_up(self, host, port)
        return found or os._exit(1)

    put(DeadlineBackend, "_look_up", fatal)


def breaker_opens_one_late() -> None:
    """``>`` for ``>=``: one failed call more than was agreed on."""

    def failed(self: Breaker, probe: bool) -> None:
        self.failures += 1
        if probe:
            self.settle("failure")
        elif self.failures > self._settings.failures:
            self._move("failures")

    put(Breaker, "failed", failed)


def cancelled_probe_keeps_its_lease() -> None:
    """A caller that goes away with the probe takes its lease along: nobody is let through until it runs out."""
    put(Ticket, "release", lambda self: None)


def slot_lost_on_cancellation() -> None:
    """The slot of a call comes back when the call ends, and not when its caller went away."""

    def forgetful(self: Downstream, task: asyncio.Task[Any]) -> None:
        if not self._tasks.pop(task).aborted:
            self._slots.release()
        if not task.cancelled():
            task.exception()

    put(Downstream, "_ended", forgetful)


def retry_budget_ignored() -> None:
    """Every call gets all its retries: an outage is multiplied by three."""
    put(retry.RetryBudget, "left", property(lambda self: True))
    put(retry.RetryBudget, "take", lambda self: True)


def failures_never_forgotten() -> None:
    """A success does not begin a new count: failures of a whole day add up to an outage."""
    success = Ticket.success

    def grudging(self: Ticket) -> None:
        breaker = self._breaker
        before = breaker.failures if breaker is not None else 0
        success(self)
        if breaker is not None and breaker.state == "closed":
            breaker.failures = before

    put(Ticket, "success", grudging)
