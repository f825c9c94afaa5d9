"""A partition between hosts: the router drops every packet silently, which no proxy can do.

In: the host to cut off, or all of them; out: a fault on the ``hosts`` target. The effect counts lost packets. A world
without hosts of its own refuses it (``UnsupportedTargetError``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hardening.faults.base import Effect, Fault
from hardening.faults.targets import Hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPartition(Fault):
    """The router between hosts of our own drops everything; nobody gets an error, everybody waits.

    ``target`` is all hosts that the world can part, or, where it can, one dependency that the service no longer
    reaches. It needs the simulated world's machines; a world on one loopback has none and refuses it.
    """

    kind: ClassVar[str] = "network_partition"
    protocol: ClassVar[str] = "hosts"
    targets: ClassVar[tuple[str, ...]] = ("hosts", "redis", "ticker", "user", "alert", "comms")
    summary: ClassVar[str] = "part simulated machines from each other"
    never_drawn = "it needs hosts of our own with a router between them, which no world of a session has"
    drawn = ({},)

    target: str = "hosts"

    async def inject(self, target: Hosts) -> object:
        """Part them."""
        await target.part()
        return True

    async def heal(self, target: Hosts, token: object) -> Effect:
        """Join them, verified by the world."""
        lost = await target.lost() if token else 0
        await target.join()
        return Effect({"packets_lost": float(lost)})
