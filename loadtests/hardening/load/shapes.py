"""Shapes: how many requests a second are offered at which moment. Pure; Locust and the judge both read them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

BURST_TIMES = 10.0
BURST_S = 10.0
SPIKE_TIMES = 20.0
SPIKE_S = 3.0
RAMP_FROM, RAMP_TO = 0.2, 10.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch in which the rate goes straight from one value to another.

    Attributes:
        name: ``base``, ``burst``, ``spike``, ``ramp`` or ``after``.
        begin_s: seconds since the run began; ``end_s`` likewise.
        from_per_s: requests a second at its begin; ``to_per_s`` at its end.
    """

    name: str
    begin_s: float
    end_s: float
    from_per_s: float
    to_per_s: float

    def rate_at(self, t_s: float) -> float:
        """Requests a second at a moment inside."""
        share = (t_s - self.begin_s) / (self.end_s - self.begin_s)
        return self.from_per_s + (self.to_per_s - self.from_per_s) * share


@dataclass(frozen=True, slots=True)
class Profile:
    """Segments that follow one another without a gap, from 0 on."""

    segments: tuple[Segment, ...]

    @property
    def duration_s(self) -> float:
        """When the last one ends."""
        return self.segments[-1].end_s

    def rate_at(self, t_s: float) -> float:
        """Requests a second at a moment; 0 outside."""
        for one in self.segments:
            if one.begin_s <= t_s < one.end_s:
                return one.rate_at(t_s)
        return 0.0

    def find(self, name: str) -> Segment | None:
        """The first segment of that name."""
        return next((one for one in self.segments if one.name == name), None)

    def arrivals(self, rng: random.Random, share: float = 1.0) -> Iterator[float]:
        """Starts of requests, ascending, in seconds: a Poisson process with this rate (times ``share``).

        Drawn by thinning: candidates at the segment's highest rate, each kept with the chance that its moment
        deserves. Workers that each take a share of 1 / n add up to the same process.
        """
        for one in self.segments:
            top = max(one.from_per_s, one.to_per_s) * share
            t_s = one.begin_s
            while top > 0 and (t_s := t_s + rng.expovariate(top)) < one.end_s:
                if rng.random() * top <= one.rate_at(t_s) * share:
                    yield t_s


def _level(rate: float, duration_s: float) -> Profile:
    return Profile((Segment("base", 0.0, duration_s, rate, rate),))


def _peak(name: str, times: float, peak_s: float, rate: float, duration_s: float) -> Profile:
    """A lead, a peak of ``times`` the rate, and the rest; a short run has all of it, shorter."""
    lead_s, high_s = min(10.0, duration_s * 0.2), min(peak_s, duration_s * 0.4)
    end_s = lead_s + high_s
    return Profile(
        (
            Segment("base", 0.0, lead_s, rate, rate),
            Segment(name, lead_s, end_s, rate * times, rate * times),
            Segment("after", end_s, duration_s, rate, rate),
        )
    )


def _ramp(rate: float, duration_s: float) -> Profile:
    return Profile((Segment("ramp", 0.0, duration_s, rate * RAMP_FROM, rate * RAMP_TO),))


SHAPES: Mapping[str, Callable[[float, float], Profile]] = {
    "steady": _level,
    "burst": lambda rate, duration_s: _peak("burst", BURST_TIMES, BURST_S, rate, duration_s),
    "ramp": _ramp,
    "spike": lambda rate, duration_s: _peak("spike", SPIKE_TIMES, SPIKE_S, rate, duration_s),
    "soak": _level,
    "open": _level,
}


def profile(shape: str, rate_per_s: float, duration_s: float) -> Profile:
    """The profile of a shape; raises KeyError for one that is not in ``SHAPES``."""
    return SHAPES[shape](rate_per_s, duration_s)
