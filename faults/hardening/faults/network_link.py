"""What all network faults share: one toxic on a link, added, removed, and asked for its bite."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hardening.faults.base import Bite, Fault, FaultError, HealError, Link

LINKS = ("redis", "ticker", "user", "alert", "comms")
HTTP_LINKS = ("ticker", "user", "alert", "comms")


@dataclass(frozen=True, slots=True)
class ToxicToken:
    """What ``heal`` needs: the toxic's name, and the counts before it was there."""

    name: str
    before: Mapping[str, float]


def grown_counts(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """By how much each count grew, those that did."""
    return {key: amount - before.get(key, 0.0) for key, amount in after.items() if amount > before.get(key, 0.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFault(Fault):
    """Base: a toxic is added on inject and removed, verified, on heal.

    Class attributes:
        toxic: its type on the wire.
        passing_bites: passing bytes are proof enough where the proxy does not count the toxic's effects.
    """

    protocol: ClassVar[str] = "link"
    targets: ClassVar[tuple[str, ...]] = LINKS
    toxic: ClassVar[str]
    passing_bites: ClassVar[bool] = True

    target: str = "redis"
    stream: str = "downstream"
    toxicity: float = 1.0

    def __post_init__(self) -> None:
        if self.target not in self.targets:
            raise FaultError("fault.target", self.target, ", ".join(self.targets))
        if self.stream not in {"upstream", "downstream"}:
            raise FaultError("fault.stream", self.stream, "upstream, downstream")
        if not 0 < self.toxicity <= 1:
            raise FaultError("fault.toxicity", self.toxicity, "above 0 and up to 1")
        self.validate()

    @abstractmethod
    def attributes(self) -> Mapping[str, Any]:
        """The toxic's attributes as the API takes them."""

    async def inject(self, target: Link) -> object:
        """Add the toxic."""
        before = dict(await target.counters())
        name = await target.add_toxic(self.toxic, self.stream, self.toxicity, self.attributes())
        return ToxicToken(name, before)

    async def heal(self, target: Link, token: object) -> Bite:
        """Remove it; an inject that failed left nothing behind."""
        if not isinstance(token, ToxicToken):
            return Bite()
        try:
            await target.remove_toxic(token.name)
        except Exception as error:
            raise HealError(f"toxic {token.name} could not be removed from {self.target}: {error}") from error
        return self._bite(token, await target.counters())

    def _bite(self, token: ToxicToken, after: Mapping[str, float]) -> Bite:
        grown = grown_counts(token.before, after)
        prefix = f"toxic.{token.name}."
        effects = {key.removeprefix(prefix): amount for key, amount in grown.items() if key.startswith(prefix)}
        knows_effects = any(key == "connections" or key.startswith("toxic.") for key in after)
        if effects or knows_effects or not self.passing_bites:
            return Bite(effects)
        passed = sum(amount for key, amount in grown.items() if key == f"received_bytes_{self.stream}")
        return Bite({"passed_bytes": passed})


def at_least(name: str, value: float, low: float) -> None:
    """Refuse a field below ``low``.

    Raises:
        FaultError: naming it.
    """
    if value < low:
        raise FaultError(f"fault.{name}", value, f"{low:g} or more")
