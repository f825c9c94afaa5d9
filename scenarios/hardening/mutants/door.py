"""Bodies that are read as if they could not hurt, and changes that nobody looks at twice."""

from __future__ import annotations

from hardening.mutants.patching import put
from signal_service.admission.middleware import Exchange, Gate, Receive
from signal_service.config.settings import ClientLimits, Settings
from signal_service.observability.health import Health


def bodies_of_any_size() -> None:
    """The limit of a body is the client's affair."""
    whole = Gate._whole_body

    async def patient(self: Gate, exchange: Exchange, receive: Receive, limits: ClientLimits) -> Receive:
        return await whole(self, exchange, receive, limits.model_copy(update={"body_bytes": 10**9}))

    put(Gate, "_whole_body", patient)


def bodies_read_under_a_permit() -> None:
    """Permit first, body second: who drips holds a place among the fifty."""
    whole = Gate._whole_body

    async def holding(self: Gate, exchange: Exchange, receive: Receive, limits: ClientLimits) -> Receive:
        permit = self._permits.take(critical=False)
        try:
            return await whole(self, exchange, receive, limits)
        finally:
            if permit is not None:
                permit.give_back("ok")

    put(Gate, "_whole_body", holding)


def dangers_reloaded() -> None:
    """What start-up would refuse, a reload takes: the check is in one of the two places."""
    put(Settings, "dangers", lambda self: [])


def volatile_store_unsaid() -> None:
    """``/ready`` keeps silent about a store that forgets."""
    reasons = Health.reasons
    put(Health, "reasons", lambda self: [why for why in reasons(self) if why != "store is volatile"])
