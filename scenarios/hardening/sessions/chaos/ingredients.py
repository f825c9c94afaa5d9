"""What chaos draws from: the variants that each fault's class names (``Fault.variants``), and profiles of kinds.

A variant holds parameters that make sense in a session of minutes. Kinds that are never drawn stand in ``NEVER_DRAWN``
with their reason; a schedule written by hand may hold them all the same. Times of a profile are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hardening.faults.base import Fault
from hardening.faults.catalogue import CATALOGUE, REDIS_FAULTS
from hardening.faults.network import NETWORK_FAULTS

Variant = Mapping[str, Any]


def _variants(fault: type[Fault]) -> tuple[Variant, ...]:
    """Its variants on each target; a kind with one target needs none named."""
    targets = fault.variant_targets or fault.targets
    if len(fault.targets) == 1:
        return fault.variants
    return tuple({**variant, "target": target} for variant in fault.variants for target in targets)


VARIANTS: Mapping[str, tuple[Variant, ...]] = MappingProxyType(
    {kind: _variants(fault) for kind, fault in CATALOGUE.items() if not fault.never_drawn}
)
"""By kind. Nothing here loses what Redis acknowledged: that would break the premise of C6.2, not the service."""

NEVER_DRAWN: Mapping[str, str] = MappingProxyType(
    {kind: fault.never_drawn for kind, fault in CATALOGUE.items() if fault.never_drawn}
)


@dataclass(frozen=True, slots=True)
class Profile:
    """Kinds of fault that are drawn together, and how densely.

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


_NETWORK = tuple(fault.kind for fault in NETWORK_FAULTS if fault.kind not in {"http_error", "redis_error"})
_REDIS = tuple(fault.kind for fault in REDIS_FAULTS)

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
                "memory, processor, descriptors, event loop and abusive clients",
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
