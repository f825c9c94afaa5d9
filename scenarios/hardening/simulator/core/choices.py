"""Where a run takes its decisions from: a seeded generator that notes what it chose, or a plan."""

from __future__ import annotations

import random
from asyncio import TimerHandle
from collections.abc import Sequence
from fnmatch import fnmatchcase

from hardening.simulator.core.plan import Decision, Kind, Plan

Timers = Sequence[tuple[float, int, TimerHandle]]

NEVER = 1 << 62
"""A step that no run reaches."""


class Choices:
    """Decisions of one run, read from a plan; what the plan does not name takes its default.

    ``made`` holds what deviated, as it happened.
    """

    entropy: int = 0
    reorders: bool = False

    def __init__(self, plan: Plan) -> None:
        self.drawn: dict[str, int] = {}
        self.made: list[tuple[Kind, str, int, float]] = []
        self.entropy = plan.entropy()
        self._draws = plan.draws()
        self._cancels = plan.cancels()
        self._firsts = plan.firsts()
        self._collects = plan.collects()
        self.reorders = bool(self._firsts)

    def decisions(self) -> tuple[Decision, ...]:
        """What deviated, in order."""
        made = [Decision(*item) for item in self.made]
        return (Decision("entropy", "", 0, self.entropy), *made) if self.entropy else tuple(made)

    def number(self, who: str, low: float, high: float) -> float:
        """A number from ``low`` (the default) to ``high``; whole when both bounds are ints."""
        index = self.drawn.get(who, 0)
        self.drawn[who] = index + 1
        value = self._draws.get((who, index))
        if value is None:
            return low
        value = min(max(value, low), high)
        if type(low) is int and type(high) is int:
            value = int(value)
        if value != low:
            self.made.append(("draw", who, index, value))
        return value

    def wait(self, who: str, low: float, high: float, now: float, timers: Timers) -> float:
        """Like ``number``, for a time from ``now`` on, in seconds, beside the timers that are set."""
        return self.number(who, low, high)

    def rare(self, who: str, low: float, high: float) -> float:
        """Like ``number``, for things that seldom happen at all (a split packet)."""
        return self.number(who, low, high)

    def first(self, round_index: int, count: int) -> int:
        """Which of ``count`` ready callbacks goes first in this round; 0 is the default."""
        chosen = self._firsts.get(round_index, 0)
        if not 0 < chosen < count:
            return 0
        self.made.append(("first", "", round_index, chosen))
        return chosen

    def next_cancel(self, step: int) -> int:
        """The step at which ``victim`` must be asked next."""
        return self._cancels[0][0] if self._cancels else NEVER

    def next_collect(self) -> int:
        """The step at which cycles are collected next."""
        return self._collects[0] if self._collects else NEVER

    def collects(self, step: int) -> None:
        """Cycles are collected before ``step``."""
        self._collects.pop(0)
        self.made.append(("collect", "", step, 0))

    def victim(self, step: int, names: list[str]) -> int | None:
        """Which of the live tasks (by ``names``, in order of creation) is cancelled before ``step``."""
        _, wanted = self._cancels.pop(0)
        if wanted not in names:
            return None
        self.made.append(("cancel", wanted, step, 0))
        return names.index(wanted)


class SeededChoices(Choices):
    """Decisions drawn from a generator.

    A draw is uniform over the lower part of its range, with a rare long tail over all of it: most races need one
    party to be much slower than the rest, and a tail finds those sooner than an even spread.

    Args:
        rng: the generator.
        clients: name patterns of tasks that may be cancelled.
        span_steps: how many steps the run is expected to have; cancellations fall within.
        reorder: whether ready callbacks may change places.
    """

    def __init__(self, rng: random.Random, clients: tuple[str, ...], span_steps: int, *, reorder: bool) -> None:
        self.drawn = {}
        self.made = []
        self._random = chance = rng.random
        self.reorders = reorder
        self._clients = clients
        self._tail = TAILS[int(chance() * len(TAILS))]
        self._aim = AIMS[int(chance() * len(AIMS))]
        self.entropy = int(chance() * (1 << 30))
        self._steps: list[int] = []
        # From the entropy, not from draws of its own: one run in ``COLLECT_ONE_IN`` has a collection.
        rare, step = self.entropy % COLLECT_ONE_IN, self.entropy // COLLECT_ONE_IN
        self._collects = [] if rare else [1 + step % max(1, span_steps)]
        if clients:
            count = CANCELS[int(chance() * len(CANCELS))]
            first, width = 1.0, float(span_steps)
            if count == STORM:
                width = span_steps / 4
                first = 1 + chance() * (span_steps - width)
            self._steps = sorted(int(first + chance() * width) for _ in range(count))

    def number(self, who: str, low: float, high: float) -> float:
        """A number from ``low`` to ``high``: mostly in the lower part, rarely far up, sometimes the default."""
        index = self.drawn.get(who, 0)
        self.drawn[who] = index + 1
        chance = self._random
        if type(low) is int and type(high) is int:
            value: float = low + int(chance() * (high - low + 1))
        else:
            tail, body = self._tail
            spread = high - low
            value = low + spread * body * chance()
            if chance() < tail:
                value += spread * (1 - body) * chance()
        if value != low:
            self.made.append(("draw", who, index, value))
        return value

    def wait(self, who: str, low: float, high: float, now: float, timers: Timers) -> float:
        """A time that rather often ends with, just before or just after something else: there the races are."""
        chance = self._random
        if not timers or chance() >= self._aim:
            return self.number(who, low, high)
        near = timers[int(chance() * len(timers))][0] - now
        beside = int(chance() * 4)
        if beside == 1:
            near -= JUST_BEFORE_S
        elif beside:
            near += (2 * beside - 5) * NEAR * (high - low) * chance()
        if not low < near <= high:
            return self.number(who, low, high)
        index = self.drawn.get(who, 0)
        self.drawn[who] = index + 1
        self.made.append(("draw", who, index, near))
        return near

    def rare(self, who: str, low: float, high: float) -> float:
        """The default in most cases."""
        if self._random() < RARELY:
            return self.number(who, low, high)
        self.drawn[who] = self.drawn.get(who, 0) + 1
        return low

    def first(self, round_index: int, count: int) -> int:
        """Another callback than the first in about every second round, when reordering is on."""
        chosen = int(self._random() * count) if self.reorders and self._random() < 0.5 else 0
        if chosen:
            self.made.append(("first", "", round_index, chosen))
        return chosen

    def next_cancel(self, step: int) -> int:
        """The next step drawn, or the very next one while a cancellation waits for a victim."""
        return max(self._steps[0], step + 1) if self._steps else NEVER

    def victim(self, step: int, names: list[str]) -> int | None:
        """One of the live tasks whose name matches, at random; none: it is asked again a step later."""
        matching = [i for i, name in enumerate(names) if any(fnmatchcase(name, p) for p in self._clients)]
        if not matching:
            return None
        self._steps.pop(0)
        chosen = matching[int(self._random() * len(matching))]
        self.made.append(("cancel", names[chosen], step, 0))
        return chosen


class SparseChoices(SeededChoices):
    """Decisions of which only few deviate: what shrinking tries when taking away does not get far.

    Args:
        rng: the generator.
        clients: name patterns of tasks that may be cancelled.
        span_steps: how many steps the run is expected to have.
        share: probability that a draw deviates at all.
        likely: draws that are known to matter deviate with ``likely_share`` instead.
        likely_share: their probability.
        cancels: how many cancellations there are.
    """

    def __init__(
        self,
        rng: random.Random,
        clients: tuple[str, ...],
        span_steps: int,
        share: float,
        cancels: int,
        likely: frozenset[tuple[str, int]] = frozenset(),
        likely_share: float = 0.0,
    ) -> None:
        super().__init__(rng, clients, span_steps, reorder=False)
        self.entropy = 0
        self._share = share
        self._likely = likely
        self._likely_share = likely_share
        self._steps = sorted(1 + int(rng.random() * span_steps) for _ in range(cancels))

    def number(self, who: str, low: float, high: float) -> float:
        """The default in most cases."""
        return super().number(who, low, high) if self._deviates(who) else self._default(who, low)

    def wait(self, who: str, low: float, high: float, now: float, timers: Timers) -> float:
        """The default in most cases."""
        if not self._deviates(who):
            return self._default(who, low)
        # Past the coin already: what decides the value must not toss it again.
        share, self._share, self._likely_share, before = self._share, 1.0, 1.0, self._likely_share
        try:
            return super().wait(who, low, high, now, timers)
        finally:
            self._share, self._likely_share = share, before

    def _deviates(self, who: str) -> bool:
        known = (who, self.drawn.get(who, 0)) in self._likely
        return self._random() < (self._likely_share if known else self._share)

    def _default(self, who: str, low: float) -> float:
        self.drawn[who] = self.drawn.get(who, 0) + 1
        return low


RARELY = 0.08
"""How often a rare thing happens."""

TAILS: tuple[tuple[float, float], ...] = ((0.2, 0.3), (0.2, 0.3), (0.5, 0.1), (0.0, 1.0))
"""Styles of a run: probability of the tail, and share of the range that is the body."""

AIMS: tuple[float, ...] = (0.0, 0.3, 0.5)
"""How often a wait aims at something that is due already, by style of a run."""

NEAR = 0.02
"""How far beside it, as a share of the wait's range."""

JUST_BEFORE_S = 5e-10
"""In the same round of the loop as what is aimed at, and before it."""

COLLECT_ONE_IN = 8
"""Of how many runs one collects cycles in its midst: then finalisers run, and tasks that nobody holds are gone."""

STORM = 4

CANCELS: tuple[int, ...] = (0, 1, 1, 1, 2, STORM)
"""How many cancellations a run has, evenly drawn; those of a storm fall close together."""
