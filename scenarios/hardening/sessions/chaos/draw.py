"""Draws a schedule from a profile: the same seed, duration and world give the same schedule."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hardening.faults.base import Fault
from hardening.faults.catalogue import build
from hardening.faults.schedule import Schedule, TimedFault
from hardening.sessions.chaos.ingredients import VARIANTS, Profile
from hardening.sessions.chaos.support import Support

LEAD_S = 1.0
"""How long load runs before the first fault."""

TAIL_S = 2.0
"""How long load runs after the last fault."""

SHORTEST_S = 8.0
"""A session in which less time than this is given to faults and load shows nothing."""


class NothingToDrawError(ValueError):
    """The world can do none of the profile's faults."""


def draw(profile: Profile, support: Support, seed: int, duration_s: float) -> Schedule:
    """Faults in ``profile.lanes`` lanes, each in turn from a shuffled deck, so that none comes twice before all came.

    Raises:
        NothingToDrawError: when nothing of the profile can be done.
    """
    rng = random.Random(f"chaos-{profile.name}-{seed}-{duration_s:g}")
    deck = _Deck(profile, support, rng)
    end_s = duration_s - TAIL_S
    taken: list[TimedFault] = []
    for lane in range(profile.lanes):
        at_s = LEAD_S + (rng.uniform(*profile.gap_s) if lane else 0.0)
        while True:
            for_s = round(min(rng.uniform(*profile.hold_s), end_s - at_s), 1)
            if for_s < min(profile.hold_s[0], 1.0):
                break
            timed = deck.next_beside(round(at_s, 1), for_s, taken)
            if timed is not None:
                taken.append(timed)
            at_s += for_s + rng.uniform(*profile.gap_s)
    return Schedule.of(taken)


class _Deck:
    """Every kind of a profile, a variant drawn each time it comes up."""

    def __init__(self, profile: Profile, support: Support, rng: random.Random) -> None:
        self._rng = rng
        possible = {kind: [f for f in _variants(kind) if not support.refusal(f)] for kind in profile.kinds}
        self._possible = {kind: found for kind, found in possible.items() if found}
        self._kinds = [kind for kind in profile.kinds if kind in self._possible]
        if not self._kinds:
            raise NothingToDrawError(f"{support.world} can do no fault of the profile {profile.name}")
        self._left: list[str] = []

    def next_beside(self, at_s: float, for_s: float, taken: list[TimedFault]) -> TimedFault | None:
        """The next fault that does not get into another's way; ``None`` when there is none."""
        if not self._left:
            self._left = self._rng.sample(self._kinds, len(self._kinds))
        for kind in self._left:
            drawn = TimedFault(at_s, for_s, self._rng.choice(self._possible[kind]))
            if not any(in_the_way(drawn, other) for other in taken):
                self._left.remove(kind)
                return drawn
        return None


def _variants(kind: str) -> Iterator[Fault]:
    for variant in VARIANTS[kind]:
        yield build({"kind": kind, **variant})


def in_the_way(one: TimedFault, other: TimedFault) -> bool:
    """True when two faults overlap and act on the same thing, so that their effects could not be told apart.

    Toxics are kept apart by their names: on a link only two of a kind are too many, and a link that is down.
    """
    apart_s = 0.5
    if one.at_s >= other.at_s + other.for_s + apart_s or other.at_s >= one.at_s + one.for_s + apart_s:
        return False
    kinds = {one.fault.kind, other.fault.kind}
    if one.fault.protocol == other.fault.protocol == "link":
        return one.fault.target == other.fault.target and (len(kinds) == 1 or "net_down" in kinds)
    # Whatever is done inside the service's process ends when a signal ends the process, and a crowd of abusive clients
    # shows nothing of a service that cannot answer anybody.
    inside = {"process", "resources", "clock", "event_loop", "files", "listener"}
    if {one.fault.protocol, other.fault.protocol} <= inside:
        return True
    return (one.fault.protocol, one.fault.target) == (other.fault.protocol, other.fault.target)
