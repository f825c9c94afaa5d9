"""Signals sent to a process of the world."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import ClassVar

from faults.base import Bite, Fault, FaultError, HealError, Process

SIGNALS: dict[str, int] = {
    "TERM": signal.SIGTERM,
    "INT": signal.SIGINT,
    "HUP": signal.SIGHUP,
    "KILL": signal.SIGKILL,
    "STOP": signal.SIGSTOP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSignal(Fault):
    """One signal; healing continues a stopped process and starts an ended one again (``restart``)."""

    kind: ClassVar[str] = "process_signal"
    protocol: ClassVar[str] = "process"
    targets: ClassVar[tuple[str, ...]] = ("service",)
    summary: ClassVar[str] = "send TERM, INT, HUP, KILL or STOP to the service; continue or restart it on heal"

    target: str = "service"
    signal: str = "TERM"
    restart: bool = True

    def validate(self) -> None:
        """Refuse unknown signals."""
        if self.signal not in SIGNALS:
            raise FaultError("fault.signal", self.signal, ", ".join(SIGNALS))

    async def inject(self, target: Process) -> object:
        """Send it; returns whether there was a process to send it to."""
        if not await target.alive():
            return False
        await target.signal(SIGNALS[self.signal])
        return True

    async def heal(self, target: Process, token: object) -> Bite:
        """Continue a stopped process, start an ended one; both verified."""
        if await target.alive() and await target.stopped():
            await target.signal(signal.SIGCONT)
            if await target.stopped():
                raise HealError(f"{self.target} is still stopped after SIGCONT")
        elif not await target.alive() and self.restart:
            await target.start()
            if not await target.alive():
                raise HealError(f"{self.target} did not come up again")
        return Bite({"signals_sent": float(bool(token))})
