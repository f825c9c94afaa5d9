"""Writes to the audit log or the logs fail as on a full disk, or the reader of the logs stops reading.

In: which file; out: faults on the ``files`` target. The effect counts refused writes, or bytes that waited.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hardening.faults.base import Effect, Fault, one_of
from hardening.faults.targets import Files


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFull(Fault):
    """Each further write to ``where`` (``audit`` or ``logs``) fails as on a full disk."""

    kind: ClassVar[str] = "disk_full"
    protocol: ClassVar[str] = "files"
    targets: ClassVar[tuple[str, ...]] = ("service",)
    summary: ClassVar[str] = "let writes to the audit log or the logs fail as on a full disk"
    variants = ({"where": "audit"},)
    drawn = ({"where": ("audit", "logs")},)

    target: str = "service"
    where: str = "audit"

    def validate(self) -> None:
        """One of the two."""
        one_of("where", self.where, ("audit", "logs"))

    async def inject(self, target: Files) -> object:
        """Fill it."""
        await target.fill(self.where)
        return True

    async def heal(self, target: Files, token: object) -> Effect:
        """Make room again."""
        refused = await target.refused(self.where) if token else 0
        await target.drain(self.where)
        return Effect({"writes_refused": float(refused)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReaderBlocked(Fault):
    """The reader of the service's output stops reading; it reads what waits after the heal, and nothing is lost."""

    kind: ClassVar[str] = "log_reader_blocked"
    protocol: ClassVar[str] = "files"
    targets: ClassVar[tuple[str, ...]] = ("service",)
    summary: ClassVar[str] = "let nobody read what the service logs"
    drawn = ({},)

    target: str = "service"

    async def inject(self, target: Files) -> object:
        """Stop reading."""
        await target.fill("log_reader")
        return True

    async def heal(self, target: Files, token: object) -> Effect:
        """Read on."""
        held = await target.refused("log_reader") if token else 0
        await target.drain("log_reader")
        return Effect({"bytes_held": float(held)})
