"""Hypothesis strategies for faults of every kind that the simulated world supports, and for schedules of them.

What is drawn shrinks to few faults, early, short, and mild. Faults of one *slot* act on the same thing and undo each
other's work (two clocks), or need what the other takes away (damaging entries of a Redis that is read-only): a
schedule has one of each slot, and they overlap as they like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hardening.faults.http_faults import HOW
from hardening.faults.process_signals import MOMENTS
from hardening.faults.schedule import Schedule

Drawn = SearchStrategy[dict[str, Any]]

DOWNSTREAMS = ("ticker", "user", "alert", "comms")
FAULTS_MAX = 4


def moments_s(least: float, most: float) -> SearchStrategy[float]:
    """Seconds in tenths: they shrink to round, small figures."""
    return st.integers(round(least * 10), round(most * 10)).map(lambda tenths: tenths / 10)


def fault(kind: str, **fields: SearchStrategy[Any] | Any) -> Drawn:
    """One kind; a field is a strategy or a value."""
    drawn = {name: value if isinstance(value, SearchStrategy) else st.just(value) for name, value in fields.items()}
    return st.fixed_dictionaries({"kind": st.just(kind), **drawn})


_SEEDS = st.integers(0, 99)

REDIS: Mapping[str, Drawn] = MappingProxyType(
    {
        "redis_killed": fault("redis_killed"),
        "redis_shutdown": fault("redis_shutdown"),
        "redis_restarted": fault("redis_restarted", graceful=st.booleans()),
        "redis_stopped": fault("redis_stopped"),
        "redis_refusing": fault("redis_refusing"),
        "redis_memory_full": fault("redis_memory_full"),
        "redis_read_only": fault("redis_read_only"),
        "redis_client_pause": fault("redis_client_pause", mode=st.sampled_from(["all", "write"]), pause_ms=1000),
        "redis_clients_killed": fault("redis_clients_killed", mid_command=st.booleans(), every_ms=300.0),
        "redis_entries_damaged": fault(
            "redis_entries_damaged",
            how=st.sampled_from(["corrupt", "truncate", "wrong_version", "swap"]),
            seed=_SEEDS,
            entries_max=st.sampled_from([1, 1000]),
        ),
    }
)
"""Redis itself; a pipeline or an outbox write in progress is hit by time and by ``redis_clients_killed``."""

PROCESS: Mapping[str, Drawn] = MappingProxyType(
    {
        "process_signal": fault(
            "process_signal",
            signal=st.sampled_from(["HUP", "TERM", "INT", "KILL", "STOP"]),
            moment=st.sampled_from([moment for moment in MOMENTS if moment != "in_drain"]),
            deadline_ms=1500.0,
        ),
        "twice": fault(
            "process_signal",
            signal="TERM",
            moment=st.sampled_from(["immediately", "mid_request"]),
            second=st.sampled_from(["TERM", "INT"]),
            deadline_ms=1500.0,
        ),
    }
)

MACHINE: Mapping[str, Drawn] = MappingProxyType(
    {
        "memory_pressure": fault("memory_pressure", held_mb=st.sampled_from([300.0, 380.0, 430.0, 460.0])),
        "cpu_pressure": fault("cpu_pressure", share=st.sampled_from([0.6, 0.8, 1.0])),
        "event_loop_stall": fault("event_loop_stall", stall_ms=st.sampled_from([100.0, 200.0, 300.0, 700.0])),
        "clock_jump": fault("clock_jump", offset_s=st.sampled_from([61.0, -61.0, 3600.0, -86400.0])),
        "clock_drift": fault("clock_drift", rate=st.sampled_from([0.5, 2.0, 10.0])),
        "disk_full": fault("disk_full", where=st.sampled_from(["audit", "logs"])),
        "log_reader_blocked": fault("log_reader_blocked"),
        "descriptors_exhausted": fault("descriptors_exhausted"),
    }
)

CROWDS: Mapping[str, Drawn] = MappingProxyType(
    {
        "slow_head": fault("slow_head", connections=st.integers(1, 8)),
        "slow_body": fault("slow_body", connections=st.integers(1, 8)),
        "client_half_closed": fault("client_half_closed", connections=st.integers(1, 8)),
        "connection_flood": fault("connection_flood", connections=st.integers(10, 60)),
        "disconnect_mid_answer": fault(
            "disconnect_mid_answer",
            connections=st.integers(1, 3),
            after_bytes=0,
            wait_ms=st.sampled_from([50.0, 250.0]),
        ),
    }
)


def http(targets: Iterable[str] = DOWNSTREAMS) -> Drawn:
    """A downstream that answers wrongly, in any of the ways there are."""
    return st.one_of(
        fault(
            "http_fault",
            target=st.sampled_from(sorted(targets)),
            how=st.sampled_from(HOW),
            status=st.sampled_from([500, 503, 429, 404]),
            latency_ms=st.sampled_from([50.0, 300.0, 3000.0]),
        ),
        fault("http_error", target=st.sampled_from(sorted(targets)), status=st.sampled_from([503, 500, 429])),
    )


def network(targets: Iterable[str] = ("redis", *DOWNSTREAMS)) -> Drawn:
    """The way to one dependency is slow, narrow, cut, or does not exist."""
    target = st.sampled_from(sorted(targets))
    return st.one_of(
        fault("net_latency", target=target, latency_ms=st.sampled_from([20, 200, 1500]), jitter_ms=10),
        fault("net_down", target=target),
        fault("net_reset", target=target),
        fault("net_timeout", target=target),
        fault("net_bandwidth", target=target, rate_kb_per_s=st.sampled_from([2, 10])),
        fault("net_slicer", target=target),
        fault("net_limit_data", target=target, limit_bytes=st.sampled_from([20, 100, 1000])),
        fault("net_loss", target=target, probability=st.sampled_from([0.02, 0.2])),
        fault("net_corrupt", target=target, probability=st.sampled_from([0.0005, 0.01])),
        fault("half_close", target=target, limit_bytes=st.sampled_from([10, 100])),
        fault("connect_delay", target=target, delay_ms=st.sampled_from([300, 2500])),
        fault("connect_refuse", target=target),
        fault("network_partition", target=target),
    )


def names(targets: Iterable[str] = DOWNSTREAMS) -> Drawn:
    """A name that no longer resolves."""
    return fault("dns_failure", target=st.sampled_from(sorted(targets)), how=st.sampled_from(["not_found", "slow"]))


_CLOCK = frozenset({"clock_jump", "clock_drift"})
_HTTP = frozenset({"http_fault", "http_error"})
_FROZEN = frozenset({"process_signal", "event_loop_stall"})


def slot(data: Mapping[str, Any]) -> tuple[str, str]:
    """What a fault acts on, so that two of one slot would undo each other's work."""
    kind, target = str(data["kind"]), str(data.get("target", ""))
    for name, kinds in (("redis", REDIS), ("clock", _CLOCK), ("frozen", _FROZEN)):
        if kind in kinds:
            return name, ""
    if kind == "disk_full" and data.get("where") == "logs":
        return "frozen", ""  # a service that starts says where it listens, and nobody would hear of it
    if kind in _HTTP:
        return "http", target
    return kind, target or str(data.get("where", ""))


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
