"""Memory, processor time and file descriptors of the service's process, taken away or limited.

In: amounts in MB, cores and descriptors; out: faults on the ``resources`` target. ``means`` says how: from inside the
process, or by a limit that the kernel holds; ``auto`` takes the first that the world has. A world without any is an
``UnsupportedTargetError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from hardening.faults.base import Effect, Fault, UnsupportedTargetError, between, one_of
from hardening.faults.targets import Resources
from hardening.faults.waiting import healed, wait_until

MB = 1 << 20
MEMORY_MEANS: Mapping[str, str] = MappingProxyType(
    {"ballast": "memory_bytes", "cgroup": "memory_headroom_bytes", "rlimit_as": "address_space_bytes"}
)
READING_S_MAX = 10.0
CPU_MEANS: Mapping[str, str] = MappingProxyType({"threads": "cpu_share", "cgroup": "cpu_quota"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPressure(Fault):
    """``ballast`` holds ``held_mb``; ``cgroup`` and ``rlimit_as`` leave ``headroom_mb`` above what is in use.

    ``auto`` takes the first of the three that the world has. With ballast the service's own reading of its
    memory must have moved by at least half of it, or the fault had no effect.
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
        one_of("means", self.means, ("auto", *MEMORY_MEANS))
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
        wanted = tuple(MEMORY_MEANS) if self.means == "auto" else (self.means,)
        refused: list[str] = []
        for name in wanted:
            amount = (self.held_mb if name == "ballast" else self.headroom_mb) * MB
            try:
                return name, await target.hold(MEMORY_MEANS[name], amount)
            except UnsupportedTargetError as error:
                refused.append(error.allowed)
        raise UnsupportedTargetError("fault.means", self.means, "; ".join(refused))

    async def heal(self, target: Resources, token: object) -> Effect:
        """Give it back; with ballast the service must read less again."""
        said: dict[str, Any] = token if isinstance(token, dict) else {}
        counts: Mapping[str, float] = {}
        for name, resource in MEMORY_MEANS.items():
            released = await target.release(resource)
            counts = released if name == said.get("means") else counts
        if said.get("means") != "ballast":
            return Effect({name: float(n) for name, n in counts.items() if name in _LIMIT_COUNTS})
        if said["moved"] < self.held_mb * MB / 2:
            return Effect({"pages_held": 0.0, "reading_moved_bytes": 0.0})
        ceiling: float = said["before"] + said["moved"] - self.held_mb * MB / 2

        async def fell() -> bool:
            return await target.reading("memory_bytes") <= ceiling

        await healed(fell, READING_S_MAX, f"{self.target} still reads more than {ceiling:.0f} bytes of memory")
        return Effect({"pages_held": counts.get("pages_held", 0.0), "reading_moved_bytes": said["moved"]})


_LIMIT_COUNTS = frozenset({"limit_hits", "probes_refused"})
"""Counts of a lowered limit that show it was felt: failures of the cgroup, or allocations refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuPressure(Fault):
    """``threads`` burns ``share`` of a core inside the service's process; ``cgroup`` leaves it ``quota`` cores."""

    kind: ClassVar[str] = "cpu_pressure"
    protocol: ClassVar[str] = "resources"
    targets: ClassVar[tuple[str, ...]] = ("service",)
    summary: ClassVar[str] = "burn processor time inside the service, or lower its quota"
    variants = ({"share": 1.0, "means": "threads"},)
    drawn = ({"share": (0.6, 0.8, 1.0)},)

    target: str = "service"
    share: float = 1.0
    quota: float = 0.2
    means: str = "auto"

    def validate(self) -> None:
        """A share that can be burnt."""
        one_of("means", self.means, ("auto", *CPU_MEANS))
        between("share", self.share, 0.05, 16)
        between("quota", self.quota, 0.01, 64)

    async def inject(self, target: Resources) -> object:
        """Take it by the first means that the world has; returns that means."""
        refused: list[str] = []
        for name in CPU_MEANS if self.means == "auto" else (self.means,):
            try:
                await target.hold(CPU_MEANS[name], self.share if name == "threads" else self.quota)
            except UnsupportedTargetError as error:
                refused.append(error.allowed)
            else:
                return name
        raise UnsupportedTargetError("fault.means", self.means, "; ".join(refused))

    async def heal(self, target: Resources, token: object) -> Effect:
        """Give it back."""
        counts = {name: await target.release(resource) for name, resource in CPU_MEANS.items()}
        return Effect(dict(counts.get(str(token), {})))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyNeighbour(Fault):
    """Processes beside the service that burn a core each: their load is not the service's own."""

    kind: ClassVar[str] = "noisy_neighbour"
    protocol: ClassVar[str] = "resources"
    targets: ClassVar[tuple[str, ...]] = ("service",)
    summary: ClassVar[str] = "let other processes burn the machine's cores"
    variants = ({"processes": 2},)

    target: str = "service"
    processes: int = 2

    def validate(self) -> None:
        """Few enough to end them again."""
        between("processes", self.processes, 1, 64)

    async def inject(self, target: Resources) -> object:
        """Start them."""
        return await target.hold("neighbours", self.processes)

    async def heal(self, target: Resources, token: object) -> Effect:
        """End them; the world verifies that they are gone."""
        return Effect(dict(await target.release("neighbours")))


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptorsExhausted(Fault):
    """All descriptors of the process are taken but ``spare``: accepting and connecting fail with EMFILE."""

    kind: ClassVar[str] = "descriptors_exhausted"
    protocol: ClassVar[str] = "resources"
    targets: ClassVar[tuple[str, ...]] = ("service",)
    summary: ClassVar[str] = "take all file descriptors of the service"
    drawn = ({},)

    target: str = "service"
    spare: int = 0

    def validate(self) -> None:
        """A whole number of descriptors."""
        between("spare", self.spare, 0, 100_000)

    async def inject(self, target: Resources) -> object:
        """Take them; returns how many were open before."""
        before = await target.reading("descriptors")
        await target.hold("descriptors_spare", self.spare)
        return before

    async def heal(self, target: Resources, token: object) -> Effect:
        """Give them back."""
        return Effect(dict(await target.release("descriptors_spare")))
