"""Memory pressure on the service: pages held inside its process, or a limit lowered around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from hardening.faults.base import Bite, Fault, Resources, UnsupportedTargetError
from hardening.faults.checks import between, one_of
from hardening.faults.waiting import healed, wait_until

MB = 1 << 20
MEANS: Mapping[str, str] = MappingProxyType(
    {"ballast": "memory_bytes", "cgroup": "memory_headroom_bytes", "rlimit_as": "address_space_bytes"}
)
READING_S_MAX = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPressure(Fault):
    """``ballast`` holds ``held_mb``; ``cgroup`` and ``rlimit_as`` leave ``headroom_mb`` above what is in use.

    ``auto`` takes the first of the three that the world has. With ballast the service's own reading of its
    memory must have moved by at least half of it, or the fault did not bite.
    """

    kind: ClassVar[str] = "memory_pressure"
    protocol: ClassVar[str] = "resources"
    targets: ClassVar[tuple[str, ...]] = ("service",)
    summary: ClassVar[str] = "hold memory inside the service, or lower its limit"
    variants = ({"held_mb": 300.0, "means": "ballast"}, {"held_mb": 430.0, "means": "ballast"})
    drawn = ({"held_mb": (300.0, 380.0, 430.0, 460.0)},)

    target: str = "service"
    held_mb: float = 256.0
    headroom_mb: float = 16.0
    means: str = "auto"

    def validate(self) -> None:
        """A known means; no more than a machine may have."""
        one_of("means", self.means, ("auto", *MEANS))
        between("held_mb", self.held_mb, 1, 1 << 20)
        between("headroom_mb", self.headroom_mb, 0, 1 << 20)

    async def inject(self, target: Resources) -> object:
        """Hold it, then wait until the service reads more."""
        before = await target.reading("memory_bytes")
        used, said = await self._hold(target)
        if not said:
            return None  # the process has ended: nothing is held, and nothing will move
        token: dict[str, Any] = {"means": used, "before": before, "moved": 0.0, "said": dict(said)}
        if used == "ballast":

            async def moved() -> bool:
                token["moved"] = max(token["moved"], await target.reading("memory_bytes") - before)
                return bool(token["moved"] >= self.held_mb * MB / 2)

            await wait_until(moved, READING_S_MAX, 0.05)
        return token

    async def _hold(self, target: Resources) -> tuple[str, Mapping[str, Any]]:
        wanted = tuple(MEANS) if self.means == "auto" else (self.means,)
        refused: list[str] = []
        for name in wanted:
            amount = (self.held_mb if name == "ballast" else self.headroom_mb) * MB
            try:
                return name, await target.hold(MEANS[name], amount)
            except UnsupportedTargetError as error:
                refused.append(error.allowed)
        raise UnsupportedTargetError("fault.means", self.means, "; ".join(refused))

    async def heal(self, target: Resources, token: object) -> Bite:
        """Give it back; with ballast the service must read less again."""
        said: dict[str, Any] = token if isinstance(token, dict) else {}
        counts: Mapping[str, float] = {}
        for name, resource in MEANS.items():
            released = await target.release(resource)
            counts = released if name == said.get("means") else counts
        if said.get("means") != "ballast":
            return Bite({name: float(n) for name, n in counts.items() if name in _LIMIT_COUNTS})
        if said["moved"] < self.held_mb * MB / 2:
            return Bite({"pages_held": 0.0, "reading_moved_bytes": 0.0})
        ceiling: float = said["before"] + said["moved"] - self.held_mb * MB / 2

        async def fell() -> bool:
            return await target.reading("memory_bytes") <= ceiling

        await healed(fell, READING_S_MAX, f"{self.target} still reads more than {ceiling:.0f} bytes of memory")
        return Bite({"pages_held": counts.get("pages_held", 0.0), "reading_moved_bytes": said["moved"]})


_LIMIT_COUNTS = frozenset({"limit_hits", "probes_refused"})
"""Counts of a lowered limit that show it was felt: failures of the cgroup, or allocations refused."""
