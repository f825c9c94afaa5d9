"""No room for the audit log or the logs, and a log that nobody reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hardening.faults.base import Bite, Fault, one_of
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

    async def heal(self, target: Files, token: object) -> Bite:
        """Make room again."""
        refused = await target.refused(self.where) if token else 0
        await target.drain(self.where)
        return Bite({"writes_refused": float(refused)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReaderBlocked(Fault):
    """Whoever reads the service's output stops reading; what waits is handed on afterwards, nothing is lost."""

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

    async def heal(self, target: Files, token: object) -> Bite:
        """Read on."""
        held = await target.refused("log_reader") if token else 0
        await target.drain("log_reader")
        return Bite({"bytes_held": float(held)})
