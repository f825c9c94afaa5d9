"""What chaos is drawn from: variants of every kind of fault, and profiles that choose among them.

A variant holds the parameters that make sense in a session of minutes; targets it does not name are drawn. What is
not drawn stands in ``NEVER_DRAWN`` with its reason; a schedule written by hand may hold it all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Variant = Mapping[str, Any]


def _targets(variant: Variant, *names: str) -> tuple[Variant, ...]:
    return tuple({**variant, "target": name} for name in names)


_HTTP = ("ticker", "user", "alert", "comms")
_LINKS = ("redis", *_HTTP)
_ANSWERS: tuple[Variant, ...] = (
    {"how": "status", "status": 500},
    {"how": "status", "status": 429},
    {"how": "latency", "latency_ms": 700.0},
    {"how": "hang"},
    {"how": "dripped_body", "latency_ms": 40.0},
    {"how": "dripped_head", "latency_ms": 40.0},
    *({"how": how} for how in ("truncated_body", "invalid_json", "wrong_shape", "wrong_content_type", "reset")),
)

VARIANTS: Mapping[str, tuple[Variant, ...]] = MappingProxyType(
    {
        "redis_killed": ({},),
        "redis_shutdown": ({},),
        "redis_restarted": ({"graceful": True}, {"graceful": False}),
        "redis_stopped": ({},),
        "redis_refusing": ({},),
        "redis_memory_full": ({},),
        "redis_evicting": ({"policy": "volatile-lru"}, {"policy": "volatile-ttl"}),
        "redis_read_only": ({},),
        "redis_loading": ({},),
        "redis_client_pause": ({"pause_ms": 1500}, {"pause_ms": 1500, "mode": "write"}),
        "redis_slow_commands": ({"busy_ms": 150.0, "every_ms": 300.0},),
        "redis_clients_killed": ({"every_ms": 500.0}, {"mid_command": False, "every_ms": 300.0}),
        "redis_entries_damaged": tuple(
            {"how": how} for how in ("corrupt", "truncate", "empty", "wrong_version", "swap", "wrong_type")
        ),
        "redis_expiry_storm": ({},),
        "process_signal": (
            {"signal": "STOP"},
            {"signal": "HUP"},
            {"signal": "TERM", "moment": "mid_request"},
            {"signal": "KILL"},
            {"signal": "KILL", "moment": "mid_request"},
        ),
        "memory_pressure": ({"held_mb": 300.0, "means": "ballast"}, {"held_mb": 430.0, "means": "ballast"}),
        "cpu_pressure": ({"share": 1.0, "means": "threads"},),
        "noisy_neighbour": ({"processes": 2},),
        "descriptors_exhausted": ({},),
        "event_loop_stall": ({"stall_ms": 400.0, "every_ms": 900.0}, {"stall_ms": 1500.0}),
        "clock_jump": ({"offset_s": 3600.0}, {"offset_s": -86400.0}, {"offset_s": 45.0}),
        "clock_drift": ({"rate": 3.0}, {"rate": 0.0}, {"rate": -1.0}),
        "disk_full": ({"where": "audit"},),
        "log_reader_blocked": ({},),
        "http_fault": tuple(one for answer in _ANSWERS for one in _targets(answer, *_HTTP)),
        "dns_failure": tuple(one for how in ("not_found", "try_again") for one in _targets({"how": how}, *_HTTP)),
        "slow_head": ({"connections": 20},),
        "slow_body": ({"connections": 20},),
        "client_half_closed": ({"connections": 20},),
        "connection_flood": ({"connections": 150},),
        "disconnect_mid_answer": ({"connections": 3}, {"connections": 3, "after_bytes": 0}),
        "net_latency": _targets({"latency_ms": 300, "jitter_ms": 200}, *_LINKS),
        "net_bandwidth": _targets({"rate_kb_per_s": 2}, *_LINKS),
        "net_reset": _targets({}, *_LINKS),
        "net_timeout": _targets({}, *_LINKS),
        "net_slicer": _targets({"average_bytes": 12, "delay_us": 2000}, *_LINKS),
        "net_limit_data": _targets({"limit_bytes": 150}, *_LINKS),
        "net_slow_close": _targets({"delay_ms": 800}, *_LINKS),
        "net_down": _targets({}, *_LINKS),
        "connect_delay": _targets({"delay_ms": 700}, *_LINKS),
        "connect_refuse": _targets({}, *_LINKS),
        "fail_first": _targets({"connections": 0, "requests": 3}, *_HTTP),
        "net_loss": _targets({"probability": 0.1}, *_LINKS),
        "net_corrupt": _targets({"probability": 0.01}, *_HTTP),
        "half_close": _targets({"limit_bytes": 100}, *_LINKS),
        "http_error": _targets({"status": 503}, *_HTTP),
        "redis_error": ({"error": "LOADING"}, {"error": "READONLY"}, {"error": "OOM command not allowed"}),
    }
)
"""By kind. Nothing here loses what Redis acknowledged: that would break the premise of C6.2, not the service."""

NEVER_DRAWN: Mapping[str, str] = MappingProxyType(
    {"network_partition": "it needs hosts of our own with a router between them, which no world of a session has"}
)


@dataclass(frozen=True, slots=True)
class Profile:
    """A way to be unlucky.

    Attributes:
        name: on the command line.
        summary: one line.
        kinds: the kinds of fault it draws from; a kind that stands twice comes twice as often.
        hold_s: shortest and longest time a fault lasts.
        gap_s: shortest and longest pause between two faults of one lane.
        lanes: how many faults may be there at once.
    """

    name: str
    summary: str
    kinds: tuple[str, ...]
    hold_s: tuple[float, float] = (2.0, 6.0)
    gap_s: tuple[float, float] = (1.0, 4.0)
    lanes: int = 1


_NETWORK = (
    *("net_latency", "net_bandwidth", "net_reset", "net_timeout", "net_slicer", "net_limit_data", "net_slow_close"),
    *("net_down", "connect_delay", "connect_refuse", "fail_first", "net_loss", "net_corrupt", "half_close"),
)
_REDIS = tuple(kind for kind in VARIANTS if kind.startswith("redis_") and kind != "redis_error")

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            Profile("redis-storm", "Redis dies, freezes, refuses, forgets and lies, one after the other", _REDIS),
            Profile("flaky-network", "late, lost, cut and corrupted bytes on two links at a time", _NETWORK, lanes=2),
            Profile(
                "slow-downstreams",
                "downstreams that are slow, hang, drip, or answer nonsense",
                ("http_fault", "http_fault", "net_latency", "net_bandwidth", "connect_delay", "http_error"),
                hold_s=(3.0, 8.0),
                lanes=2,
            ),
            Profile(
                "process-signals",
                "the service is stopped, reloaded, ended and killed in mid-request; Redis is restarted",
                ("process_signal", "process_signal", "redis_restarted", "event_loop_stall"),
                hold_s=(1.0, 3.0),
                gap_s=(3.0, 6.0),
            ),
            Profile(
                "pressure",
                "memory, processor, descriptors, event loop and rude clients",
                (
                    *("memory_pressure", "cpu_pressure", "noisy_neighbour", "descriptors_exhausted"),
                    *("event_loop_stall", "slow_head", "slow_body", "connection_flood", "disconnect_mid_answer"),
                ),
                gap_s=(3.0, 6.0),
            ),
            Profile(
                "clock",
                "the wall clock jumps and drifts while cached entries expire",
                ("clock_jump", "clock_drift", "clock_jump", "redis_expiry_storm"),
            ),
            Profile("everything", "every kind of fault that the world can do, two at a time", tuple(VARIANTS), lanes=2),
        )
    }
)
