# ruff: noqa: SLF001 - handles and loops share private names by design
# mypy: disable-error-code="attr-defined"
"""What differs from machine to machine in one loop: whether it is up or stands still, and its wall clock."""

from __future__ import annotations

from collections import deque
from typing import Any

from hardening.simulator.core.hosts import Host, current_host, is_beside

EPOCH_S = 1_767_225_600.0
"""Wall clock at the start of every run: 2026-01-01 00:00:00 UTC."""

PID = 4321
"""The process id inside a run."""


class Machines:
    """Mixed into the loop.

    Attributes:
        hosts_differ: some machine crashed or stands still, so each callback is asked where it belongs.
        kept: with their machines, the callbacks that came due for one that does not run, in their order.
    """

    now_s: float
    _ready: deque[Any]

    def set_up_machines(self, start_s: float) -> None:
        """All are up, and all wall clocks right."""
        self.hosts_differ = False
        self.kept: list[tuple[Host, Any]] = []
        self._wall = (0.0, 1.0, start_s)
        self._wall_of: str | None = None

    def _may_run(self, handle: Any) -> bool:
        """Whether the machine on which it would run is up and goes on; else it is kept."""
        host = handle._context.get(current_host, Host.default)
        if host.alive and ((not host.stopped and not host.blocked) or handle._context.get(is_beside, False)):
            return True
        self.kept.append((host, handle))
        return False

    def stop_host(self, host: Host) -> None:
        """Nothing that belongs to this machine runs until ``resume_host``."""
        host.stopped = self.hosts_differ = True

    def resume_host(self, host: Host) -> None:
        """It goes on: what came meanwhile runs now, in its order and before what has just become ready."""
        host.stopped = False
        self.let_go(host)

    def let_go(self, host: Host) -> None:
        """What was kept for a machine becomes ready."""
        missed = [handle for where, handle in self.kept if where is host]
        self.kept = [entry for entry in self.kept if entry[0] is not host]
        self._ready.extendleft(reversed(missed))

    def revive(self) -> None:
        """The run is judged: whatever machine it was on, what is left may run to clean up.

        A task whose wake-up was lost with its machine could not even be cancelled.
        """
        self.hosts_differ = False
        self._ready.extendleft(reversed([handle for _, handle in self.kept]))
        self.kept.clear()

    def set_wall(self, offset_s: float, rate: float, host: str | None = None) -> None:
        """Set the wall clock (of one machine) off from the truth, and let it run ``rate`` times as fast from now on."""
        self._wall = (offset_s, rate, self.now_s)
        self._wall_of = host

    def wall_off_here_s(self) -> float:
        """How far the wall clock is off for the code that runs: that of other machines keeps true time."""
        if self._wall_of is not None and current_host.get().name != self._wall_of:
            return 0.0
        return self.wall_off_s()

    def wall_off_s(self) -> float:
        """How far the wall clock is off now."""
        offset_s, rate, since_s = self._wall
        return offset_s + (rate - 1.0) * (self.now_s - since_s)
