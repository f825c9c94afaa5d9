"""The user service: who may see what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from signal_service.clients.downstream import Ask, Downstream
from signal_service.clients.errors import DownstreamError


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a user may do; ``symbols`` holds names, or ``*`` for all."""

    user: str
    plan: str
    active: bool
    symbols: frozenset[str]

    def allows(self, symbol: str) -> bool:
        """True when the user may see ``symbol``."""
        return self.active and ("*" in self.symbols or symbol in self.symbols)


class UserClient:
    """``GET /users/{user}/entitlement``."""

    def __init__(self, downstream: Downstream) -> None:
        self.downstream = downstream

    async def entitlement(self, user: str) -> Entitlement:
        """What ``user`` may do; a user that the service does not know may do nothing.

        Raises:
            DownstreamError: no usable answer.
        """
        ask = Ask("GET", f"/users/{quote(user, safe='')}/entitlement")
        try:
            return await self.downstream.call(ask, lambda data: _parse(data, user))
        except DownstreamError as error:
            if error.status == 404:
                return Entitlement(user, "", False, frozenset())
            raise

    async def health(self) -> None:
        """Raises DownstreamError when it is not well."""
        await self.downstream.health()


def _parse(data: Any, user: str) -> Entitlement:
    plan, active, symbols = data["plan"], data["active"], data["symbols"]
    texts = isinstance(plan, str) and isinstance(symbols, list) and all(isinstance(name, str) for name in symbols)
    if data["user"] != user or not texts or not isinstance(active, bool):
        raise ValueError("not this user's entitlement")  # another user's answer must never decide
    return Entitlement(user, plan, active, frozenset(symbols))
