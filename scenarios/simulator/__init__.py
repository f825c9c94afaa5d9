"""Run any asyncio program under many schedules in virtual time; every failure comes back small and repeatable."""

from scenarios.simulator.choices import Choices
from scenarios.simulator.corpus import Corpus
from scenarios.simulator.counterexample import Counterexample, Exploration, Recording, merge
from scenarios.simulator.errors import (
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
from scenarios.simulator.explore import Replay, explore, replay
from scenarios.simulator.plan import Bounds, Decision, Plan, PlanError
from scenarios.simulator.program import (
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
from scenarios.simulator.search import Shard
from scenarios.simulator.surroundings import surroundings
from scenarios.simulator.trace import Trace, TraceEvent

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
