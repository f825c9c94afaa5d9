"""Whether a series rises: how much for sure, how much at most, and whether it does so all along.

Memory is read twice a second and moves in steps, so that neighbours are nearly equal: sixty samples are worth far
less than sixty independent ones. The interval allows for that.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

Z_99 = 2.576
LIKENESS_MAX = 0.95
"""At most this much of a sample is taken to be a repetition of the one before."""
PARTS = 4
PERSISTS_SHARE = 0.25
"""A leak rises in every part of the series; a part may lag so far behind the mean when the machine was busy."""


@dataclass(frozen=True, slots=True)
class Trend:
    """What a series rose by from its first x to its last.

    Attributes:
        rise: the best estimate, in units of y.
        least: the lower end of the 99 % interval, ``most`` the upper one.
        persists: it rose in each quarter of the series, and not in one leap.
    """

    rise: float
    least: float
    most: float
    persists: bool


def trend(points: Sequence[tuple[float, float]]) -> Trend:
    """Least squares over the whole series, with an interval that allows for likeness of neighbours.

    Args:
        points: at least ``2 * PARTS`` (x, y), x ascending.
    """
    count = len(points)
    span = points[-1][0] - points[0][0]
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rests = [y - mean_y - slope * (x - mean_x) for x, y in points]
    variance = sum(rest**2 for rest in rests) / (count - 2) / spread
    likeness = _likeness(rests)
    width = Z_99 * math.sqrt(variance * (1 + likeness) / (1 - likeness)) * span
    rise = slope * span
    return Trend(rise, rise - width, rise + width, _persists(points, rise))


def _likeness(rests: Sequence[float]) -> float:
    """How much of a deviation stands in its neighbour as well (lag one), within 0 and ``LIKENESS_MAX``."""
    total = sum(rest**2 for rest in rests)
    if total <= 0:
        return 0.0
    shared = sum(a * b for a, b in itertools.pairwise(rests)) / total
    return min(max(shared, 0.0), LIKENESS_MAX)


def _persists(points: Sequence[tuple[float, float]], rise: float) -> bool:
    count = len(points)
    edges = [count * part // PARTS for part in range(PARTS + 1)]
    levels = [median(y for _, y in points[a:b]) for a, b in itertools.pairwise(edges)]
    return all(b - a >= PERSISTS_SHARE * rise / PARTS for a, b in itertools.pairwise(levels))
