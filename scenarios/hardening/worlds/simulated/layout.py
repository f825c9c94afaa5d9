"""What every part of the simulated world stands on: one loop, one network, one clock, one recorder.

In: the running simulated loop. Times are virtual seconds since the run began, as exact as a history keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardening.history.events import EventType, Recorder
from hardening.simulator.core.machines import EPOCH_S
from hardening.simulator.net.program import current_loop
from hardening.simulator.net.program import network as simulated_network

HOST = "service"
LATENCIES_S: Mapping[str, tuple[float, float]] = {
    "redis": (0.0002, 0.008),
    "ticker": (0.0005, 0.02),
    "user": (0.0005, 0.02),
    "alert": (0.0005, 0.02),
    "comms": (0.0005, 0.02),
    "local": (0.0005, 0.02),
}
"""Bounds of a packet's way between the service and each other machine: those of one data centre, tail included."""


class SimMachines:
    """The machines of one run and the ways between them.

    Attributes:
        recorder: set by the world before anything happens.
    """

    recorder: Recorder

    def __init__(self) -> None:
        self.loop = current_loop()
        self.network = simulated_network()

    def lay_out(self) -> None:
        """Give each machine its address and the latency of its way to the service."""
        for name in (HOST, *LATENCIES_S):
            self.network.address(name)
        for name, (low, high) in LATENCIES_S.items():
            self.network.set_latency(HOST, name, low, high)

    def now(self) -> float:
        """Virtual seconds since the run began."""
        return round(self.loop.time() - self.loop.started_s, 6)

    def true_wall(self) -> float:
        """The wall clock of every machine but the service's, whose clock a fault may set."""
        return EPOCH_S + self.now()

    def wall(self) -> float:
        """The service's wall clock."""
        return self.true_wall() + self.loop.wall_off_s()

    def record(self, process: str, kind: EventType, f: str, value: Mapping[str, Any], id_: str = "") -> None:
        """Record an event now."""
        self.recorder.add(self.now(), process, kind, f, value, id_)
