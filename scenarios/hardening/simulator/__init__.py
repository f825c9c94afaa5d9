"""Run any asyncio program under many schedules in virtual time; every failure comes back small and repeatable.

``explore`` and ``replay`` run a program; the other functions are called inside one. Times are virtual seconds.
``SimRedis``, which needs fakeredis, is ``hardening.simulator.adapters.redis_server.SimRedis``.
"""

from hardening.simulator.adapters.http_server import Reply, SimHttp
from hardening.simulator.core.plan import Plan
from hardening.simulator.net.program import (
    always,
    blocking_io,
    cancel_point,
    cancelled,
    draw,
    end_cancellations,
    eventually,
    in_simulation,
    io,
    jump_wall_clock,
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
    "Reply",
    "SimHttp",
    "always",
    "blocking_io",
    "cancel_point",
    "cancelled",
    "draw",
    "end_cancellations",
    "eventually",
    "explore",
    "in_simulation",
    "io",
    "jump_wall_clock",
    "network",
    "replay",
    "say",
    "send_signal",
    "stall",
]
