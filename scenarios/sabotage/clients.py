"""Broken clients and breakers."""

from __future__ import annotations

from scenarios.sabotage.patching import put
from service.clients.breaker import Breaker, Ticket
from service.clients.errors import BreakerOpenError


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
