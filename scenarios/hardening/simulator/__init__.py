"""Run any asyncio program under many schedules in virtual time; every failure comes back small and repeatable."""

from hardening.simulator.core.choices import Choices
from hardening.simulator.core.errors import (
    DeadlockError,
    LeftoverError,
    LivelockError,
    LostExceptionError,
    OutsideSimulationError,
    OverdueError,
    RuleBrokenError,
    SimulatorError,
    StuckError,
    ViolationError,
    Wait,
)
from hardening.simulator.core.plan import Bounds, Decision, Plan, PlanError
from hardening.simulator.core.trace import Trace, TraceEvent
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
from hardening.simulator.search.counterexample import Counterexample, Exploration, Recording, merge
from hardening.simulator.search.explore import Replay, explore, replay
from hardening.simulator.search.search import Shard
from hardening.simulator.search.surroundings import surroundings

__all__ = [
    "Bounds",
    "Choices",
    "Corpus",
    "Counterexample",
    "DeadlockError",
    "Decision",
    "Exploration",
    "LeftoverError",
    "LivelockError",
    "LostExceptionError",
    "OutsideSimulationError",
    "OverdueError",
    "Plan",
    "PlanError",
    "Recording",
    "Replay",
    "RuleBrokenError",
    "Shard",
    "SimulatorError",
    "StuckError",
    "Trace",
    "TraceEvent",
    "ViolationError",
    "Wait",
    "always",
    "cancel_point",
    "draw",
    "eventually",
    "explore",
    "in_simulation",
    "io",
    "merge",
    "network",
    "replay",
    "say",
    "send_signal",
    "stall",
    "surroundings",
]
