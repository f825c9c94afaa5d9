"""Run any asyncio program under many schedules in virtual time; every failure comes back small and repeatable.

``explore`` and ``replay`` run a program; the other functions are called inside one. Times are virtual seconds.
"""

from hardening.simulator.core.plan import Plan
from hardening.simulator.net.program import (
    always,
    cancel_point,
    draw,
    eventually,
    in_simulation,
    io,
    network,
    say,
    send_signal,
    stall,
)
from hardening.simulator.search.corpus import Corpus
from hardening.simulator.search.explore import explore, replay

__all__ = [
    "Corpus",
    "Plan",
    "always",
    "cancel_point",
    "draw",
    "eventually",
    "explore",
    "in_simulation",
    "io",
    "network",
    "replay",
    "say",
    "send_signal",
    "stall",
]
