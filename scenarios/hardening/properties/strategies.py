"""Hypothesis strategies for scenarios: requests, their moments and callers, settings, reloads, latencies.

A drawn scenario is small (a few dozen requests), so that many run; it shrinks to few requests at early moments with
the default settings. Hypothesis owns these inputs; the order of tasks belongs to the simulator's own search, for
which ``interleavings`` draws a seed (docs/SIMULATOR.md).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hardening.catalogue.scenario import Reload, Scenario
from hardening.faults.schedule import Schedule
from hardening.history.workload import Operation, Workload, alert, batch, invalidate, signal, steady
from hardening.properties.faults import moments_s

SYMBOLS = ("AAPL", "MSFT", "GOOG")
"""What the steady state asks for: warm when the faults begin."""

KEYS: Mapping[str, str] = {"demo": "normal", "high": "high", "low": "low", "reader": "normal"}
GROUPS_MAX = 6
GROUP_MAX = 8
UNTIL_S = 3.0
STEADY_S = 1.0
EXTRA_S = 11.0
"""The bound of recovery beyond the longest open time (C6.4), and one second for the last look."""

OPEN_S = 1.0
SETTINGS: Mapping[str, Any] = {
    "downstreams": {name: {"breaker": {"open_s": OPEN_S}} for name in ("ticker", "user", "alert", "comms")}
}
"""Breakers that close within a small scenario; their unscaled times have scenarios of their own (catalogue)."""

Operations = SearchStrategy[list[Operation]]


def _group(make: Callable[[float, int], Operation], at_s: float, count: int, gap_s: float) -> list[Operation]:
    return [make(round(at_s + i * gap_s, 3), i) for i in range(count)]


_COUNTS = st.integers(1, GROUP_MAX)
_GAPS_S = st.sampled_from([0.0, 0.01, 0.05, 0.1])
_LEAVES = st.sampled_from([None, None, None, 0.002, 0.02, 0.2])
"""When a caller hangs up; most do not."""


@st.composite
def signals(draw: st.DrawFn, cold: str = "COLD") -> list[Operation]:
    """Callers of signals: of a warm symbol, of one cold symbol together, or each of a cold one of its own."""
    which = draw(st.sampled_from(["warm", "together", "apart"]))
    key = draw(st.sampled_from(sorted(KEYS)))
    tag = draw(st.integers(0, 3))
    leaves, every = draw(_LEAVES), draw(st.integers(1, 3))

    def one(at_s: float, i: int) -> Operation:
        symbol = {"warm": SYMBOLS[i % 3], "together": f"{cold}{tag}", "apart": f"{cold}{tag}{i}"}[which]
        gone = leaves if i % every == 0 else None
        return signal(at_s, symbol, key=key, priority=KEYS[key], disconnect_after_s=gone)

    return _group(one, draw(moments_s(0, UNTIL_S)), draw(_COUNTS), draw(_GAPS_S))


@st.composite
def alerts(draw: st.DrawFn) -> list[Operation]:
    """Alerts: each with a key of its own, or some again with the same or with another body."""
    tag, same = draw(st.integers(0, 2)), draw(st.sampled_from(["own", "again", "conflict"]))
    leaves = draw(_LEAVES)
    other = {"symbol": "AAPL", "rule": {"indicator": "price", "op": ">", "value": 0.5}, "channel": "sms"}

    def one(at_s: float, i: int) -> Operation:
        changes: dict[str, Any] = {"body": other} if same == "conflict" and i % 2 else {}
        key = f"key-{tag}-{i if same == 'own' else i // 2}"
        symbol = SYMBOLS[(i if same == "own" else i // 2) % 3]
        return alert(at_s, symbol, key, disconnect_after_s=leaves if i % 2 else None, **changes)

    return _group(one, draw(moments_s(0, UNTIL_S)), draw(_COUNTS), draw(_GAPS_S))


@st.composite
def operators(draw: st.DrawFn, cold: str = "COLD") -> list[Operation]:
    """Requests of operators: health, readiness, metrics, state, and the invalidation of candles."""
    what = draw(st.sampled_from(["health", "ready", "metrics", "state", "invalidate"]))
    symbol = draw(st.sampled_from([SYMBOLS[0], f"{cold}0", f"{cold}1"]))
    plain = {"health": ("health", "/health", ""), "ready": ("ready", "/ready", "operator")}
    plain |= {"metrics": ("metrics", "/metrics", "scraper"), "state": ("admin", "/admin/state", "operator")}

    def one(at_s: float, _i: int) -> Operation:
        if what == "invalidate":
            return invalidate(at_s, symbol)
        operation, path, key = plain[what]
        return Operation(at_s, operation, path=path, key=key, priority="critical")

    return _group(one, draw(moments_s(0, UNTIL_S)), draw(st.integers(1, 3)), draw(st.sampled_from([0.1, 0.3])))


@st.composite
def strangers(draw: st.DrawFn) -> list[Operation]:
    """Callers without a key, with a wrong key, with a key of another scope; invalid bodies; batches."""
    what = draw(st.sampled_from(["none", "wrong", "scope", "body", "batch", "inactive", "limited"]))

    def one(at_s: float, i: int) -> Operation:
        if what == "none":
            return signal(at_s, SYMBOLS[i % 3], key="", sends="none")
        if what == "wrong":
            return signal(at_s, SYMBOLS[i % 3], key="", headers={"X-API-Key": f"nobody-{i:012d}"}, sends="wrong")
        if what == "scope":
            return Operation(at_s, "admin", path="/admin/state", key="demo", sends="other_scope")
        if what == "inactive":
            return signal(at_s, SYMBOLS[i % 3], key="inactive")
        if what == "limited":
            return _limited(at_s, i)
        if what == "body":
            return Operation(at_s, "alert", "POST", "/v2/alerts", "demo", body='{"symbol": ')
        return batch(at_s, SYMBOLS, key="low", priority="low")

    return _group(one, draw(moments_s(0, UNTIL_S)), draw(st.integers(1, 4)), draw(_GAPS_S))


def _limited(at_s: float, number: int) -> Operation:
    """A caller entitled to the first two symbols requests these, another one, and both at once."""
    if number % 2:
        return batch(at_s, SYMBOLS[: 2 + number % 4 // 2], key="limited")
    return signal(at_s, SYMBOLS[number % 3], key="limited")


def workloads(*groups: Operations, least: int = 1, most: int = GROUPS_MAX) -> SearchStrategy[Workload]:
    """Groups of callers, mixed; by default of every kind."""
    chosen = st.one_of(*(groups or (signals(), alerts(), operators(), strangers())))
    return st.lists(chosen, min_size=least, max_size=most).map(_joined)


def _joined(groups: Sequence[Sequence[Operation]]) -> Workload:
    return Workload.of(operation for group in groups for operation in group)


@st.composite
def settings(draw: st.DrawFn) -> dict[str, Any]:
    """Settings within their bounds; most examples keep the defaults."""
    changed: dict[str, Any] = {}
    breaker: dict[str, Any] = {"open_s": draw(st.sampled_from([OPEN_S, 0.3, 3.0]))}
    if draw(st.booleans()):
        breaker["failures"] = draw(st.integers(1, 6))
    changed["downstreams"] = {name: {"breaker": dict(breaker)} for name in ("ticker", "user", "alert", "comms")}
    choices: dict[str, dict[str, SearchStrategy[Any]]] = {
        "budgets": {"in_flight": st.integers(2, 12), "accepted_per_window": st.integers(25, 60)},
        "cache": {"ttl_s": st.sampled_from([0.5, 2.0]), "stale_s": st.sampled_from([0.0, 1.0]), "entries": st.just(3)},
        "outbox": {"capacity": st.integers(2, 8)},
        "retry": {"base_s": st.sampled_from([0.01, 0.5]), "budget_min": st.integers(0, 12)},
    }
    for section in draw(st.lists(st.sampled_from(sorted(choices)), max_size=2, unique=True)):
        changed[section] = draw(st.fixed_dictionaries({}, optional=choices[section]))
    return changed


@st.composite
def reloads(draw: st.DrawFn, most: int = 4) -> tuple[Reload, ...]:
    """Reloads in mid-request, also many at once: valid, invalid, dangerous and malformed ones, and rollbacks."""
    good = st.sampled_from([{"cache": {"ttl_s": 30.0}}, {"budgets": {"in_flight": 40}}, {"retry": {"base_s": 0.1}}])
    bad = st.sampled_from([{"budgets": {"in_flight": -5}}, {"debug": True}, {"cors_origins": ["*"]}, {"port": 9999}])
    found = []
    for _ in range(draw(st.integers(0, most))):
        by = draw(st.sampled_from(["sighup", "file", "admin", "rollback"]))
        fresh: Any = {} if by == "rollback" else draw(st.one_of(good, bad, st.just("{ this is no configuration")))
        found.append(Reload(draw(moments_s(0.1, UNTIL_S)), fresh, by))  # type: ignore[arg-type]
    return tuple(sorted(found, key=lambda reload: reload.at_s))


def latencies() -> SearchStrategy[dict[str, float]]:
    """Latencies of the fake downstreams; mostly none."""
    slow = {"ticker": st.sampled_from([0.05, 0.4, 1.2]), "alert": st.just(0.1), "comms": st.just(0.1)}
    return st.one_of(st.just({}), st.fixed_dictionaries({}, optional=slow))


def interleavings() -> SearchStrategy[int]:
    """Seeds of the simulator's search."""
    return st.integers(0, 2**32 - 1)


def calm(seed: int = 0) -> Workload:
    """The steady state: a second of signals on warm symbols."""
    return steady(random.Random(seed), for_s=STEADY_S, per_s=8.0, symbols=SYMBOLS)


def scenario(name: str, workload: Workload, schedule: Schedule, **more: Any) -> Scenario:
    """A small scenario between two phases of steady state.

    Args:
        name: of the scenario.
        workload: asked while faults run.
        schedule: the faults.
        more: further fields of ``Scenario``; ``settings`` are taken as they are.
    """
    chosen: Mapping[str, Any] = more.pop("settings", SETTINGS)
    opens = [one.get("breaker", {}).get("open_s", 0.0) for one in chosen.get("downstreams", {}).values()]
    more.setdefault("recovery_s", max(opens, default=60.0) + EXTRA_S)
    return Scenario(
        name=name,
        summary="drawn by Hypothesis",
        steady=more.pop("steady", calm()),
        workload=workload,
        schedule=schedule,
        settings=chosen,
        **more,
    )


@st.composite
def scenarios(
    draw: st.DrawFn,
    /,
    name: str,
    asked: SearchStrategy[Workload],
    broken: SearchStrategy[Schedule],
    **more: SearchStrategy[Any],
) -> Scenario:
    """A whole scenario; ``more`` are strategies for further fields of ``Scenario``."""
    fields = {field: draw(strategy) for field, strategy in more.items()}
    return scenario(name, draw(asked), draw(broken), **fields)
