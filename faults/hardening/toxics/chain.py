"""Toxics in a row, for both directions of one connection, in anybody's time.

A ``Link`` is fed with bytes and ends, says when it wants to be advanced, and hands out what is due. Inside, events
are taken in the order of their nominal times, so a late timer delays nothing that follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from hardening.toxics.base import NEVER, ConnectPlan, Draws, End, Payload, Tally, Timed, Toxic

Direction = Literal["upstream", "downstream"]
DIRECTIONS: tuple[Direction, Direction] = ("upstream", "downstream")
OPPOSITE: dict[Direction, Direction] = {"upstream": "downstream", "downstream": "upstream"}


@dataclass(slots=True)
class ToxicSpec:
    """A toxic as the control API knows it: data, and the counts its connections share.

    Attributes:
        name: unique among the toxics of a proxy.
        kind: the class that does the work.
        stream: as it was given; ``direction`` is its meaning.
        toxicity: the share of connections that it acts on (a draw below it is hit).
        attributes: checked and complete.
        tally: effects so far.
        memory: the toxic's own counts (``fail_first``, ``times``).
    """

    name: str
    kind: type[Toxic]
    stream: str
    toxicity: float
    attributes: dict[str, Any]
    tally: Tally = field(default_factory=Tally)
    memory: Tally = field(default_factory=Tally)

    @property
    def direction(self) -> Direction:
        """The direction it acts on."""
        return "upstream" if self.stream.lower() == "upstream" else "downstream"


class _Stage:
    """A toxic's place in one direction, with what it has handed out but what is not yet due."""

    __slots__ = ("ended", "held", "held_bytes", "is_mirror", "last_at", "spec", "toxic")

    def __init__(self, spec: ToxicSpec, toxic: Toxic | None, is_mirror: bool) -> None:
        self.spec = spec
        self.toxic = toxic  # None while this connection is spared
        self.is_mirror = is_mirror  # the far side of an exchange toxic
        self.held: deque[tuple[float, float, Payload]] = deque()  # (due, arrived, payload)
        self.held_bytes = 0
        self.last_at = 0.0
        self.ended = False

    def next_at(self) -> float:
        """When something is due here."""
        at = self.held[0][0] if self.held else NEVER
        if self.toxic is not None and not self.is_mirror and self.toxic.deadline is not None:
            return min(at, self.toxic.deadline)
        return at

    def hold(self, at: float, arrived: float, payload: Payload) -> None:
        """Queue it; nothing overtakes."""
        if self.ended:
            return
        at = self.last_at = max(at, self.last_at)
        if isinstance(payload, End):
            self.ended = True
        else:
            self.held_bytes += len(payload)
            if at > arrived:
                self.spec.tally.count("delayed_bytes", len(payload))
        self.held.append((at, arrived, payload))

    def release(self, now: float) -> None:
        """All that is held is due now."""
        self.held = deque((min(at, now), arrived, payload) for at, arrived, payload in self.held)
        self.last_at = now

    def withheld_bytes(self) -> int:
        """What the toxic counts as held although it dropped it."""
        return self.toxic.withheld_bytes if self.toxic is not None and not self.is_mirror else 0

    def window(self) -> int:
        """How much this stage may hold."""
        return self.toxic.window() if self.toxic is not None else 0


class Link:
    """Both directions of one connection with their toxics.

    Args:
        proxy: the proxy's name (part of every draw's key).
        number: the connection's number, counted from 1 by the driver.
        draws: generator for a key, see ``seeded_draws``.
        specs: the toxics there are now, in order.
        now: the time on the driver's clock, seconds.
    """

    __slots__ = ("_draws", "_lots", "_stages", "number", "proxy")

    def __init__(self, proxy: str, number: int, draws: Draws, specs: Iterable[ToxicSpec], now: float) -> None:
        self.proxy = proxy
        self.number = number
        self._draws = draws
        self._lots: dict[str, tuple[float, Random]] = {}
        self._stages: dict[Direction, list[_Stage]] = {"upstream": [], "downstream": []}
        for spec in specs:
            self.add(spec, now)

    def connect_plan(self, specs: Iterable[ToxicSpec]) -> ConnectPlan:
        """What the connect-phase toxics want with this connection; ask once, before dialling."""
        plan = ConnectPlan()
        for spec in specs:
            toxic = self._build(spec) if spec.kind.is_connect else None
            if toxic is not None:
                toxic.connect(plan)
        return plan

    def _build(self, spec: ToxicSpec) -> Toxic | None:
        """The toxic for this connection, or None when its draw spares it."""
        if spec.name not in self._lots:
            rng = self._draws((self.proxy, self.number, spec.direction, spec.name))
            self._lots[spec.name] = (rng.random(), rng)
        lot, rng = self._lots[spec.name]
        if lot >= spec.toxicity:
            return None
        return spec.kind(spec.attributes, rng, spec.tally, spec.memory)

    def add(self, spec: ToxicSpec, now: float) -> None:
        """Put a toxic at the end of the chain; bytes behind it are its to harm from now on."""
        if spec.kind.is_connect and not spec.kind.is_exchange:
            return
        toxic = self._build(spec)
        direction: Direction = "upstream" if spec.kind.is_exchange else spec.direction
        stage = _Stage(spec, toxic, is_mirror=False)
        self._stages[direction].append(stage)
        if spec.kind.is_exchange:
            self._stages["downstream"].append(_Stage(spec, toxic, is_mirror=True))
        if toxic is not None:
            self._emit(direction, stage, toxic.begin(now), now)

    def update(self, name: str, now: float) -> None:
        """Attributes or toxicity of the spec changed; what is held meets the new ones."""
        for direction in DIRECTIONS:
            for stage in self._stages[direction]:
                if stage.spec.name == name and not stage.is_mirror:
                    self._update_stage(direction, stage, now)

    def _update_stage(self, direction: Direction, stage: _Stage, now: float) -> None:
        was, spec = stage.toxic, stage.spec
        hit = self._lots[spec.name][0] < spec.toxicity
        if was is None or not hit:
            if was is not None:
                self._emit(direction, stage, was.remove(now, is_spared=True), now)
            stage.release(now)
            toxic = self._build(spec) if hit else None
            for each in (s for way in DIRECTIONS for s in self._stages[way] if s.spec is spec):
                each.toxic = toxic
            if toxic is not None:
                self._emit(direction, stage, toxic.begin(now), now)
            return
        was.update(spec.attributes, now)
        if was.retimes:
            self._retime(direction, stage, was, now)

    def _retime(self, direction: Direction, stage: _Stage, toxic: Toxic, now: float) -> None:
        """Feed what is held once more, joined where it arrived together."""
        held, stage.held, stage.held_bytes = stage.held, deque(), 0
        stage.last_at, stage.ended = now, False
        joined: list[tuple[float, Payload]] = []
        for _, arrived, payload in held:
            last = joined[-1] if joined else None
            if last and last[0] == arrived and isinstance(last[1], bytes) and isinstance(payload, bytes):
                joined[-1] = (arrived, last[1] + payload)
            else:
                joined.append((arrived, payload))
        for arrived, payload in joined:
            timed = toxic.close(payload, arrived) if isinstance(payload, End) else toxic.feed(payload, arrived)
            self._emit(direction, stage, timed, arrived)

    def remove(self, name: str, now: float) -> None:
        """Take a toxic out; what it holds goes on at once, in order, then what the toxic leaves behind."""
        self._lots.pop(name, None)
        for direction in DIRECTIONS:
            for stage in self._stages[direction]:
                if stage.spec.name == name:
                    if stage.toxic is not None and not stage.is_mirror:
                        self._emit(direction, stage, stage.toxic.remove(now), now)
                    stage.release(now)
                    stage.toxic = None
                    # Emptied by the next advance, then dropped: order with its neighbours is kept.
                    stage.spec = _leaving(stage.spec)

    def _emit(self, direction: Direction, stage: _Stage, timed: list[Timed], arrived: float) -> None:
        for item in timed:
            if item.back:
                for mirror in self._stages[OPPOSITE[direction]]:
                    if mirror.spec is stage.spec:
                        mirror.hold(item.at, arrived, item.payload)
            else:
                stage.hold(item.at, arrived, item.payload)

    @property
    def is_clear(self) -> bool:
        """True when no toxic acts and nothing is held: bytes may bypass the link."""
        return not self._stages["upstream"] and not self._stages["downstream"]

    def feed(self, direction: Direction, data: Payload, now: float) -> list[tuple[Direction, Payload]]:
        """Bytes (or the end) came from the source of ``direction``; returns what is due at once, as ``advance``."""
        due: list[tuple[Direction, Payload]] = []
        # What is due already goes first: it must not be overtaken by an event with a later time.
        self._run(now, due)
        self._pass(direction, 0, data, now, due)
        self._run(now, due)
        return due

    def advance(self, now: float) -> list[tuple[Direction, Payload]]:
        """What is due by ``now``, in order, as (direction, bytes or end)."""
        due: list[tuple[Direction, Payload]] = []
        self._run(now, due)
        return due

    def next_at(self) -> float:
        """When ``advance`` will have something to do; ``math.inf`` when only new bytes can change that."""
        return min((stage.next_at() for stages in self._stages.values() for stage in stages), default=NEVER)

    def held_bytes(self, direction: Direction) -> int:
        """Bytes on their way through the toxics of a direction."""
        return sum(stage.held_bytes + stage.withheld_bytes() for stage in self._stages[direction])

    def window(self, direction: Direction) -> int:
        """How many bytes may be on their way before the source should wait."""
        return sum(stage.window() for stage in self._stages[direction])

    def read_bytes(self, direction: Direction, most: int) -> int:
        """How many bytes, up to ``most``, should be fed at once: tiny slices of a large chunk would take too long."""
        windows = [stage.toxic.window() for stage in self._stages[direction] if stage.toxic is not None]
        return min([most, *windows])

    def _pass(
        self, direction: Direction, index: int, payload: Payload, at: float, due: list[tuple[Direction, Payload]]
    ) -> None:
        """Hand a payload to the stage at ``index``, or out when there is none."""
        stages = self._stages[direction]
        if index >= len(stages):
            due.append((direction, payload))
            return
        stage = stages[index]
        toxic = stage.toxic
        if stage.ended:
            return
        if toxic is None:
            timed = [Timed(at, payload)]
        elif stage.is_mirror:
            timed = [Timed(at, payload)] if isinstance(payload, End) else toxic.answer(payload, at)
        else:
            timed = toxic.close(payload, at) if isinstance(payload, End) else toxic.feed(payload, at)
        self._emit(direction, stage, timed, at)

    def _run(self, now: float, due: list[tuple[Direction, Payload]]) -> None:
        while True:
            found: tuple[float, Direction, int] | None = None
            for direction in DIRECTIONS:
                for index, stage in enumerate(self._stages[direction]):
                    at = stage.next_at()
                    if at <= now and (found is None or at < found[0]):
                        found = (at, direction, index)
            if found is None:
                break
            self._step(*found, due)
        for stages in self._stages.values():
            if any(isinstance(stage.spec, _Leaving) and not stage.held for stage in stages):
                stages[:] = [stage for stage in stages if not isinstance(stage.spec, _Leaving) or stage.held]

    def _step(self, at: float, direction: Direction, index: int, due: list[tuple[Direction, Payload]]) -> None:
        stage = self._stages[direction][index]
        if stage.held and stage.held[0][0] <= at:
            _, _, payload = stage.held.popleft()
            if isinstance(payload, bytes):
                stage.held_bytes -= len(payload)
            self._pass(direction, index + 1, payload, at, due)
            return
        if stage.toxic is not None:
            self._emit(direction, stage, stage.toxic.expire(at), at)


class _Leaving(ToxicSpec):
    """The spec of a toxic that was removed while its bytes are still to be handed on."""

    __slots__ = ()


def _leaving(spec: ToxicSpec) -> _Leaving:
    return _Leaving("", spec.kind, spec.stream, spec.toxicity, spec.attributes, spec.tally, spec.memory)
