"""Hypothesis strategies for faults that the simulated world can do, and for schedules of them.

What is drawn for a kind stands in its class (``Fault.drawn``). Drawn schedules shrink to few faults, early, short and
mild. Two faults of one *slot* act on the same thing and undo each other's work (two clocks), or one needs what the
other takes away (damaged entries of a Redis that is read-only): a schedule has one of each slot, overlapping freely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hardening.faults.catalogue import CATALOGUE
from hardening.faults.network import HTTP_LINKS as DOWNSTREAMS
from hardening.faults.network import LINKS
from hardening.faults.schedule import Schedule

__all__ = ["DOWNSTREAMS", "anything", "fault", "http", "moments_s", "names", "network", "schedules", "slot"]

Drawn = SearchStrategy[dict[str, Any]]

FAULTS_MAX = 4


def moments_s(least: float, most: float) -> SearchStrategy[float]:
    """Seconds in tenths: they shrink to round, small figures."""
    return st.integers(round(least * 10), round(most * 10)).map(lambda tenths: tenths / 10)


def fault(kind: str, **fields: SearchStrategy[Any] | Any) -> Drawn:
    """One kind; a field is a strategy, a tuple of values, a range, or a value."""
    return st.fixed_dictionaries({"kind": st.just(kind), **{name: _field(value) for name, value in fields.items()}})


def _field(value: object) -> SearchStrategy[Any]:
    if isinstance(value, SearchStrategy):
        return value
    if isinstance(value, range):
        return st.integers(value.start, value.stop - 1)
    return st.sampled_from(value) if isinstance(value, tuple) else st.just(value)


def _drawn(kind: str, targets: Iterable[str] = ()) -> list[Drawn]:
    """The alternatives that the fault's class names, on any of ``targets`` when there are some."""
    on = {"target": tuple(sorted(targets))} if targets else {}
    return [fault(kind, **on, **fields) for fields in CATALOGUE[kind].drawn]


def _of(*protocols: str) -> Mapping[str, Drawn]:
    kinds = [kind for kind, cls in CATALOGUE.items() if cls.protocol in protocols and cls.drawn]
    return {kind: st.one_of(*_drawn(kind)) for kind in kinds}


REDIS = _of("redis")
"""Redis itself; a pipeline or an outbox write in progress is hit by time and by ``redis_clients_killed``."""
PROCESS = _of("process")
MACHINE = _of("resources", "clock", "event_loop", "files")
CROWDS = _of("listener")


def _on_targets(targets: Iterable[str], protocols: set[str], *, http: bool) -> Drawn:
    offered, found = set(targets), []
    for kind, cls in CATALOGUE.items():
        if cls.protocol in protocols and (cls.slot == "http") is http:
            found += _drawn(kind, offered & set(cls.targets))
    return st.one_of(*found)


def http(targets: Iterable[str] = DOWNSTREAMS) -> Drawn:
    """A downstream that answers wrongly, in any of the ways there are."""
    return _on_targets(targets, {"downstream", "link"}, http=True)


def network(targets: Iterable[str] = LINKS) -> Drawn:
    """The way to one dependency is slow, narrow, cut, or does not exist."""
    return _on_targets(targets, {"link", "hosts"}, http=False)


def names(targets: Iterable[str] = DOWNSTREAMS) -> Drawn:
    """A name that no longer resolves."""
    return _on_targets(targets, {"names"}, http=False)


def slot(data: Mapping[str, Any]) -> tuple[str, str]:
    """What a fault acts on, so that two of one slot would undo each other's work."""
    cls = CATALOGUE[str(data["kind"])]
    target = str(data.get("target") or cls.targets[0])
    if cls.kind == "disk_full":
        # A service that starts says where it listens, and with full logs nobody would read it.
        return ("frozen", target) if data.get("where") == "logs" else ("disk_full", str(data.get("where", "")))
    return cls.slot or cls.kind, target


def _slot_of(entry: dict[str, Any]) -> tuple[str, str]:
    return slot(entry["fault"])


def _scheduled(entries: list[dict[str, Any]]) -> Schedule:
    return Schedule.from_json(entries)


def schedules(
    kinds: Drawn, *, least: int = 0, most: int = FAULTS_MAX, until_s: float = 2.5, for_s_max: float = 2.0
) -> SearchStrategy[Schedule]:
    """Timed faults of ``kinds``, overlapping as they come.

    Args:
        kinds: one fault as its JSON object.
        least: faults at least.
        most: and at most.
        until_s: none begins later.
        for_s_max: none lasts longer.
    """
    entry: Drawn = st.fixed_dictionaries(
        {"at_s": moments_s(0.1, until_s), "for_s": moments_s(0.2, for_s_max), "fault": kinds}
    )
    unlike = st.lists(entry, min_size=least, max_size=most, unique_by=_slot_of)
    return unlike.map(_scheduled)


def anything() -> Drawn:
    """Any fault at all."""
    groups = [st.one_of(*group.values()) for group in (REDIS, PROCESS, MACHINE, CROWDS)]
    return st.one_of(http(), network(), *groups)
