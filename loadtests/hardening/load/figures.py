"""Computes what the pictures show: a run cut into bins of time, and the knee.

In comes a ``Run``, out come series of numbers (seconds since the load began, requests a second, milliseconds); pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hardening.load.view import RATE_LIMITED, Run, Sent, percentile

BINS = 90


def bin_s(run: Run) -> float:
    """How long a bin is: whole seconds, and about ninety of them at most."""
    return float(max(1, round(run.plan.duration_s / BINS)))


def bins(run: Run) -> Mapping[float, list[Sent]]:
    """The load's requests by the bin in which they were meant to start; keys are seconds since the load began."""
    width = bin_s(run)
    found: dict[float, list[Sent]] = {}
    for one in run.load:
        found.setdefault((one.intended_t - run.began_t) // width * width, []).append(one)
    return dict(sorted(found.items()))


def latencies_ms(run: Run) -> Mapping[str, list[tuple[float, float]]]:
    """Percentiles of each bin over time, of requests that were answered as they should be, from the intended start."""
    series: dict[str, list[tuple[float, float]]] = {"p50": [], "p95": [], "slowest": []}
    width = bin_s(run)
    for at, members in bins(run).items():
        ordered = sorted(one.latency_s * 1000 for one in members if one.expected)
        if ordered:
            for name, share in (("p50", 0.5), ("p95", 0.95), ("slowest", 1.0)):
                series[name].append((at + width / 2, percentile(ordered, share)))
    return series


OUTCOMES: Mapping[str, Callable[[Sent], bool]] = {
    "accepted": lambda one: one.expected and one.status != 503,
    "shed or unavailable (503)": lambda one: one.status == 503,
    "rejected (429)": lambda one: one.status == RATE_LIMITED,
    "went away": lambda one: one.left,
    "errors": lambda one: one.wrong,
}


def outcomes(run: Run) -> Mapping[str, Mapping[float, float]]:
    """Requests a second by outcome and bin."""
    width = bin_s(run)
    found: dict[str, dict[float, float]] = {name: {} for name in OUTCOMES}
    for at, members in bins(run).items():
        for name, test in OUTCOMES.items():
            found[name][at] = sum(map(test, members)) / width
    return found


def in_flight(run: Run) -> list[tuple[float, float]]:
    """Permits out over time: the most in each bin as the log says, else the gauge as it was scraped."""
    width = bin_s(run)
    most: dict[float, float] = {}
    for event in run.history.states("permit_taken", pool="main"):
        at = (event.t - run.began_t) // width * width
        if at >= 0:
            most[at] = max(most.get(at, 0.0), float(event.value["in_flight"]))
    if most:
        return sorted(most.items())
    name = "signal_in_flight{name=main}"
    return [(s.end_t - run.began_t, s.series[name]) for s in run.scrapes if name in s.series]


@dataclass(frozen=True, slots=True)
class Knee:
    """Where the service began to turn work away.

    Attributes:
        at_s: when, since the load began.
        offered_per_s: what was offered then, over the last ``over_s`` seconds.
        why: ``429`` or the problem of the 503.
    """

    at_s: float
    offered_per_s: float
    over_s: float
    why: str

    def to_json(self) -> dict[str, float | str]:
        """The JSON object."""
        return {"at_s": self.at_s, "offered_per_s": self.offered_per_s, "over_s": self.over_s, "why": self.why}


def knee(run: Run, window_s: float) -> Knee | None:
    """The first refusal of a product request, and the rate that led to it; ``None`` when nobody was refused."""
    offered = [one for one in run.load if not one.critical]
    first = next((one for one in offered if one.refused), None)
    if first is None:
        return None
    at_s = first.begin_t - run.began_t
    over_s = max(1.0, min(window_s, at_s))
    count = sum(first.begin_t - over_s <= one.begin_t <= first.begin_t for one in offered)
    return Knee(at_s, count / over_s, over_s, "429" if first.status == RATE_LIMITED else first.problem)


def offered_and_accepted(run: Run) -> Sequence[tuple[float, float]]:
    """(offered, accepted) requests a second of each bin, critical ones left out."""
    width = bin_s(run)
    found = []
    for members in bins(run).values():
        product = [one for one in members if not one.critical]
        found.append((len(product) / width, sum(not one.refused for one in product) / width))
    return found
