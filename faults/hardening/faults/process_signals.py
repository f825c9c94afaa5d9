"""Signals to a process of the world, at a chosen moment of its work.

In: names of signals, the moment, a deadline in ms; out: a fault on the ``process`` target. The effect counts signals
that were sent. A process that does not continue, end or come up again is a ``HealError``.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from hardening.faults.base import Effect, Fault, HealError, UnsupportedTargetError, between, one_of
from hardening.faults.targets import Moments, Process
from hardening.faults.waiting import wait_until

SIGNALS: Mapping[str, int] = MappingProxyType(
    {
        "TERM": signal.SIGTERM,
        "INT": signal.SIGINT,
        "HUP": signal.SIGHUP,
        "KILL": signal.SIGKILL,
        "STOP": signal.SIGSTOP,
        "CONT": signal.SIGCONT,
    }
)
MOMENTS = ("immediately", "before_first_byte", "mid_request", "mid_reload", "in_drain")
END_S_MAX = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSignal(Fault):
    """One signal at ``moment``, and perhaps a ``second`` one once the drain has begun.

    A moment that does not come within ``deadline_ms`` sends nothing: the fault had no effect. Healing continues
    a stopped process and, with ``restart``, starts an ended one again.
    """

    kind: ClassVar[str] = "process_signal"
    protocol: ClassVar[str] = "process"
    targets: ClassVar[tuple[str, ...]] = ("service",)
    summary: ClassVar[str] = "send TERM, INT, HUP, KILL, STOP or CONT to the service at a chosen moment"
    slot = "frozen"
    variants = (
        {"signal": "STOP"},
        {"signal": "HUP"},
        {"signal": "TERM", "moment": "mid_request"},
        {"signal": "KILL"},
        {"signal": "KILL", "moment": "mid_request"},
    )
    drawn = (
        {"signal": ("HUP", "TERM", "INT", "KILL", "STOP"), "moment": MOMENTS[:-1], "deadline_ms": 1500.0},
        {
            "signal": "TERM",
            "moment": ("immediately", "mid_request"),
            "second": ("TERM", "INT"),
            "deadline_ms": 1500.0,
        },
    )

    target: str = "service"
    signal: str = "TERM"
    moment: str = "immediately"
    second: str = ""
    deadline_ms: float = 5000.0
    restart: bool = True

    def validate(self) -> None:
        """Known signals and moments."""
        one_of("signal", self.signal, SIGNALS)
        one_of("moment", self.moment, MOMENTS)
        one_of("second", self.second, ("", *SIGNALS))
        between("deadline_ms", self.deadline_ms, 1, 600_000)

    async def inject(self, target: Process) -> object:
        """Wait for the moment and send; returns how many signals were sent."""
        sent = int(await self._send(target, self.moment, self.signal))
        if sent and self.second:
            sent += int(await self._send(target, "in_drain", self.second))
        return sent

    async def _send(self, target: Process, moment: str, name: str) -> bool:
        if not await target.alive():
            return False
        if moment != "immediately":
            if not isinstance(target, Moments):
                raise UnsupportedTargetError("fault.moment", moment, "immediately (this world sees no moments)")
            if not await target.reached(moment, self.deadline_ms / 1000):
                return False
        try:
            await target.signal(SIGNALS[name])
        except ProcessLookupError:
            return False
        return True

    async def heal(self, target: Process, token: object) -> Effect:
        """Continue a stopped process, start an ended one; both verified."""
        sent = float(token) if isinstance(token, int) else 0.0
        if await target.alive() and await target.stopped():
            await target.signal(signal.SIGCONT)
            if await target.stopped():
                raise HealError(f"{self.target} is still stopped after SIGCONT")
        if self.restart and sent and {self.signal, self.second} & {"TERM", "INT", "KILL"}:
            # It may still be on its way out; started before its end it would meet its own port.
            if not await wait_until(lambda: _ended(target), END_S_MAX):
                raise HealError(f"{self.target} did not end within {END_S_MAX:.0f} s of its signal")
            await target.start()
        elif self.restart and not await target.alive():
            await target.start()
        if self.restart and not await target.alive():
            raise HealError(f"{self.target} did not come up again")
        return Effect({"signals_sent": sent})


async def _ended(target: Process) -> bool:
    return not await target.alive()
