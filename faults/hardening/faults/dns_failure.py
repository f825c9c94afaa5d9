"""The name of a dependency no longer resolves, or resolves late.

In: how the look-up fails, a delay in ms; out: a fault on the ``names`` target. The effect counts affected look-ups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hardening.faults.base import Effect, Fault, between, one_of
from hardening.faults.targets import Names


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsFailure(Fault):
    """Look-ups of the downstream's name fail (``not_found``, ``try_again``) or come ``delay_ms`` late (``slow``).

    It has an effect when the service looks the name up; open connections are not touched.
    """

    kind: ClassVar[str] = "dns_failure"
    protocol: ClassVar[str] = "names"
    targets: ClassVar[tuple[str, ...]] = ("ticker", "user", "alert", "comms", "redis")
    summary: ClassVar[str] = "let the look-up of a downstream's name fail or be slow"
    variants = ({"how": "not_found"}, {"how": "try_again"})
    variant_targets = targets[:-1]
    drawn = ({"how": ("not_found", "slow")},)

    target: str = "ticker"
    how: str = "not_found"
    delay_ms: float = 0.0

    def validate(self) -> None:
        """A known failure; a delay that ends."""
        one_of("how", self.how, ("not_found", "try_again", "slow"))
        between("delay_ms", self.delay_ms, 0, 60_000)

    async def inject(self, target: Names) -> object:
        """Break it."""
        await target.fail(self.how, self.delay_ms / 1000)
        return True

    async def heal(self, target: Names, token: object) -> Effect:
        """Look it up as before."""
        hurt = await target.hurt() if token else 0
        await target.restore()
        return Effect({"lookups_hurt": float(hurt)})
