"""Processor time: taken from the service from within, by its cgroup's quota, or by its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from hardening.faults.base import Bite, Fault, Resources, UnsupportedTargetError
from hardening.faults.checks import between, one_of

MEANS: Mapping[str, str] = MappingProxyType({"threads": "cpu_share", "cgroup": "cpu_quota"})


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
        one_of("means", self.means, ("auto", *MEANS))
        between("share", self.share, 0.05, 16)
        between("quota", self.quota, 0.01, 64)

    async def inject(self, target: Resources) -> object:
        """Take it by the first means that the world has; returns that means."""
        refused: list[str] = []
        for name in MEANS if self.means == "auto" else (self.means,):
            try:
                await target.hold(MEANS[name], self.share if name == "threads" else self.quota)
            except UnsupportedTargetError as error:
                refused.append(error.allowed)
            else:
                return name
        raise UnsupportedTargetError("fault.means", self.means, "; ".join(refused))

    async def heal(self, target: Resources, token: object) -> Bite:
        """Give it back."""
        counts = {name: await target.release(resource) for name, resource in MEANS.items()}
        return Bite(dict(counts.get(str(token), {})))


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

    async def heal(self, target: Resources, token: object) -> Bite:
        """End them; the world verifies that they are gone."""
        return Bite(dict(await target.release("neighbours")))
