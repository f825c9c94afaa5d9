"""Answers that count although they must not: too late, or a refusal that was asked for."""

from __future__ import annotations

from hardening.mutants.patching import put
from signal_service.clients.breaker import Ticket
from signal_service.clients.downstream import _Call
from signal_service.clients.errors import DownstreamError


def late_answers_count() -> None:
    """A ticket from before the opening moves the breaker all the same: nobody compares generations."""

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


def refusals_open_it() -> None:
    """A 4xx is taken for a failure of the downstream: a client's bad requests cut everybody off."""
    outcome = _Call.outcome

    def blaming(self: _Call, error: DownstreamError) -> str:
        return "failed" if error.kind == "client_error" else outcome(self, error)

    put(_Call, "outcome", blaming)


def refusals_retried() -> None:
    """A 4xx is asked again: it might have been a mistake."""

    def retryable(self: DownstreamError) -> bool:
        return self.kind not in {"deadline", "unbuilt", "refused", "too_large"}

    put(DownstreamError, "retryable", property(retryable))
