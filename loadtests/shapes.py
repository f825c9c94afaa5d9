"""Shapes of load as pure functions of time: how many product requests a second are wanted when.

The budget is 300 accepted in any minute: a base of 4.9 a second stays just below it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from loadtests.spec import LoadSpec

BURST_FACTOR, BURST_FOR_S, BURST_AT = 10.0, 10.0, 0.15
SPIKE_FACTOR = 10.0
RAMP_FACTOR = 40.0


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape.

    Attributes:
        name: on the command line.
        summary: one line for people.
        rate: requests a second at ``t`` seconds, of a run with this spec.
        overload_s: span in which more is offered than the budget allows, of a run with this spec; None without one.
        open: arrivals on a schedule instead of users that wait for answers.
    """

    name: str
    summary: str
    rate: Callable[[LoadSpec, float], float]
    overload_s: Callable[[LoadSpec], tuple[float, float] | None] = lambda _spec: None
    open: bool = False


def _steady(spec: LoadSpec, _t: float) -> float:
    return spec.rate_per_s


def _burst_span(spec: LoadSpec) -> tuple[float, float]:
    began_s = min(10.0, spec.duration_s * BURST_AT)
    return began_s, min(began_s + BURST_FOR_S, spec.duration_s)


def _burst(spec: LoadSpec, t: float) -> float:
    began_s, ended_s = _burst_span(spec)
    return spec.rate_per_s * (BURST_FACTOR if began_s <= t < ended_s else 1.0)


def _ramp(spec: LoadSpec, t: float) -> float:
    return spec.rate_per_s * (1.0 + (RAMP_FACTOR - 1.0) * min(1.0, t / spec.duration_s))


def _all_of_it(spec: LoadSpec) -> tuple[float, float]:
    return 0.0, spec.duration_s


def _spike_span(spec: LoadSpec) -> tuple[float, float]:
    return spec.duration_s / 3, spec.duration_s / 2


def _spike(spec: LoadSpec, t: float) -> float:
    began_s, ended_s = _spike_span(spec)
    return spec.rate_per_s * (SPIKE_FACTOR if began_s <= t < ended_s else 1.0)


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        shape.name: shape
        for shape in (
            Shape("steady", "the budget's own rate, all the time", _steady),
            Shape("burst", "ten times the base for ten seconds", _burst, _burst_span),
            Shape(
                "ramp", "from the base to forty times it: finds the knee", _ramp, lambda spec: (0.0, spec.duration_s)
            ),
            Shape("spike", "ten times the base for a sixth of the run, then recovery", _spike, _spike_span),
            Shape("soak", "the base for long: memory must not grow", _steady),
            Shape("open", "arrivals on a schedule, whatever the answers do", _steady, open=True),
        )
    }
)


def users_at(spec: LoadSpec, t: float, pace_s: float = 1.0) -> int:
    """Users that ask once every ``pace_s`` seconds, so many that the shape's rate comes out, rounded up."""
    wanted = SHAPES[spec.shape].rate(spec, t) * pace_s
    return max(1, math.ceil(wanted - 1e-9))  # a rate that comes out exactly must not cost a user more


def pace_s(spec: LoadSpec) -> float:
    """Seconds between two requests of one user, so that whole users make the base rate exactly."""
    return users_at(spec, 0.0) / SHAPES[spec.shape].rate(spec, 0.0)


def arrivals(spec: LoadSpec, worker: int = 0, workers: int = 1) -> Iterator[float]:
    """Moments at which requests start, in seconds: a Poisson stream by the seed, dealt out to the workers in turn."""
    rng = random.Random(f"arrivals-{spec.seed}")
    shape, at_s, number = SHAPES[spec.shape], 0.0, 0
    while True:
        at_s += rng.expovariate(shape.rate(spec, at_s))
        if at_s >= spec.duration_s:
            return
        if number % workers == worker:
            yield at_s
        number += 1
