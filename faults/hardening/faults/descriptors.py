"""No file descriptor left in the service's process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hardening.faults.base import Bite, Fault, Resources
from hardening.faults.checks import between


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

    async def heal(self, target: Resources, token: object) -> Bite:
        """Give them back."""
        return Bite(dict(await target.release("descriptors_spare")))
