"""Mutants of C1: clients, retries, circuit breakers."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import httpx

from hardening.mutants.mutant import breaks, put
from signal_service.clients import retry
from signal_service.clients.breaker import Breaker, Ticket
from signal_service.clients.downstream import Downstream, _Call
from signal_service.clients.errors import BreakerOpenError, DownstreamError
from signal_service.clients.factory import ClientManager
from signal_service.clients.transport import DeadlineBackend
from signal_service.config import settings
from signal_service.config.settings import Settings
from signal_service.store.outbox_worker import Worker


@breaks("C1.1", shown_by="deployment", world="live")
def nonsense_is_corrected() -> None:
    """A setting out of bounds is silently corrected instead of refused, so nobody learns of the typing error."""
    build = settings.build

    def obliging(data: Any) -> Settings:
        try:
            return build(data)
        except settings.SettingsError:
            for downstream in data.get("downstreams", {}).values():
                if downstream.get("breaker", {}).get("failures", 1) < 1:
                    downstream["breaker"]["failures"] = 1
            return build(data)

    put(settings, "build", obliging)


@breaks("C1.2", shown_by="ticker-outage")
def half_open_lets_all_through() -> None:
    """While half open every caller is a probe, and a recovering downstream does not survive the herd."""
    acquire = Breaker.acquire

    def generous(self: Breaker) -> Ticket:
        try:
            return acquire(self)
        except BreakerOpenError:
            if self.state == "half_open":
                return Ticket(self, self.generation, False)
            raise

    put(Breaker, "acquire", generous)


@breaks("C1.2", shown_by="ticker-outage")
def breaker_opens_one_late() -> None:
    """``>`` for ``>=``: the breaker opens one failed call too late."""

    def failed(self: Breaker, probe: bool) -> None:
        self.failures += 1
        if probe:
            self.settle("failure")
        elif self.failures > self._settings.failures:
            self._move("failures")

    put(Breaker, "failed", failed)


@breaks("C1.2", shown_by="hung-probe")
def cancelled_probe_keeps_its_lease() -> None:
    """A cancelled probe keeps its lease: no caller is let through until the lease runs out."""
    put(Ticket, "release", lambda self: None)


@breaks("C1.3", shown_by="cancelled-herd")
def cancellations_counted_as_failures() -> None:
    """A caller that hangs up counts against the downstream: impatient clients open the breaker."""
    put(Ticket, "release", lambda self: self.failure())


@breaks("C1.3", shown_by="late-answers")
def late_answers_count() -> None:
    """A ticket from before the opening still moves the breaker: nobody compares generations."""

    def success(self: Ticket) -> None:
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker.failures = 0
            if breaker.state == "half_open":
                breaker.settle("success")

    def failure(self: Ticket) -> None:
        breaker, self._breaker = self._breaker, None
        if breaker is not None and breaker.state != "open":
            breaker.failed(breaker.state == "half_open")

    put(Ticket, "success", success)
    put(Ticket, "failure", failure)


@breaks("C1.3", shown_by="late-answers")
def refusals_open_it() -> None:
    """A 4xx counts as a failure of the downstream: one client's bad requests cut everybody off."""
    outcome = _Call.outcome

    def blaming(self: _Call, error: DownstreamError) -> str:
        return "failed" if error.kind == "client_error" else outcome(self, error)

    put(_Call, "outcome", blaming)


@breaks("C1.3", shown_by="hiccups")
def failures_never_forgotten() -> None:
    """A success does not reset the count: the failures of a whole day add up to an outage."""
    success = Ticket.success

    def grudging(self: Ticket) -> None:
        breaker = self._breaker
        before = breaker.failures if breaker is not None else 0
        success(self)
        if breaker is not None and breaker.state == "closed":
            breaker.failures = before

    put(Ticket, "success", grudging)


@breaks("C1.4", shown_by="alert-outage")
def one_breaker_for_all() -> None:
    """When one downstream's breaker opens, every other opens with it: four breakers share one state."""
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


@breaks("C1.5", shown_by="flaky-network")
def no_jitter() -> None:
    """All waits between attempts are equal: every client comes back in step."""
    put(retry, "full_jitter", lambda _settings, _rng, _attempt: 0.2)


@breaks("C1.5", shown_by="alert-outage")
def posts_without_key() -> None:
    """The idempotency key is lost on the way out: a retried delivery acts twice."""
    stream = httpx.AsyncClient.stream

    def keyless(self: httpx.AsyncClient, *args: Any, **kwargs: Any) -> Any:
        kwargs.get("headers", {}).pop("Idempotency-Key", None)
        return stream(self, *args, **kwargs)

    put(httpx.AsyncClient, "stream", keyless)


@breaks("C1.5", shown_by="flaky-network")
def retry_budget_ignored() -> None:
    """Every call gets all its retries: an outage is multiplied by three."""
    put(retry.RetryBudget, "left", property(lambda self: True))
    put(retry.RetryBudget, "take", lambda self: True)


@breaks("C1.5", shown_by="late-answers")
def refusals_retried() -> None:
    """A request that got a 4xx is sent again."""

    def retryable(self: DownstreamError) -> bool:
        return self.kind not in {"deadline", "unbuilt", "refused", "too_large"}

    put(DownstreamError, "retryable", property(retryable))


@breaks("C1.5", shown_by="alert-outage")
def deliveries_without_a_wait() -> None:
    """A failed delivery is tried again at once: a receiver's outage keeps the worker busy for nothing."""
    put(Worker, "_backoff", lambda _self, _item, _error: 0.0)


@breaks("C1.6", shown_by="cancelled-herd")
def clients_never_closed() -> None:
    """Shutdown forgets the clients."""

    async def forget(_self: ClientManager) -> None:
        return None

    put(ClientManager, "aclose", forget)


@breaks("C1.6", shown_by="alert-outage")
def drain_forgets_the_worker() -> None:
    """The delivery worker runs as a daemon that nobody awaits: clients are closed while it uses them."""
    run = Worker.run

    async def aside(self: Worker) -> None:
        self._running = asyncio.get_running_loop().create_task(run(self), name="outbox-worker")

    async def forget(_self: Worker, _max_s: float) -> None:
        return None

    put(Worker, "run", aside)
    put(Worker, "drain", forget)


@breaks("C1.6", shown_by="cancelled-herd")
def slot_lost_on_cancellation() -> None:
    """A call gives its slot back when it ends, but not when its caller went away."""

    def forgetful(self: Downstream, task: asyncio.Task[Any]) -> None:
        if not self._tasks.pop(task).aborted:
            self._slots.release()
        if not task.cancelled():
            task.exception()

    put(Downstream, "_ended", forgetful)


@breaks("C1.6", shown_by="cancelled-herd")
def close_failure_ends_the_closing() -> None:
    """Clients are closed one after the other, and the first that raises ends the closing."""

    async def hasty(self: ClientManager) -> None:
        for name, downstream in self.downstreams.items():
            await downstream.aclose()
            self._world.emit("client", name=name, event="closed")

    put(ClientManager, "aclose", hasty)


@breaks("C1.7", shown_by="unresolved-name")
def resolver_errors_are_fatal() -> None:
    """A name that does not resolve ends the process."""
    look_up = DeadlineBackend._look_up

    async def fatal(self: DeadlineBackend, host: str, port: int) -> list[str]:
        found = await look_up(self, host, port)
        return found or os._exit(1)

    put(DeadlineBackend, "_look_up", fatal)
