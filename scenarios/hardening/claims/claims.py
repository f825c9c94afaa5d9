"""All claims, collected from the modules of their components, and the judging of histories by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from hardening.claims import (
    c1_breakers,
    c1_clients,
    c1_neutral_calls,
    c2_admission,
    c2_levels,
    c2_memory,
    c2_metrics,
    c2_slow_clients,
    c3_startup,
    c4_audit,
    c4_keys,
    c4_redaction,
    c5_age,
    c5_entries,
    c5_loads,
    c6_delivery,
    c6_drain,
    c6_recovery,
    c6_reload,
    c7_deployment,
)
from hardening.claims.claim import Claim
from hardening.claims.verdict import Verdict, merge
from hardening.history.events import History

COMPONENTS: Mapping[str, str] = MappingProxyType(
    {
        "C1": "Client factory and circuit breakers",
        "C2": "Budget guards and backpressure",
        "C3": "Start-up resilience",
        "C4": "Security logging",
        "C5": "Cache concurrency",
        "C6": "Rare failures",
        "C7": "Deployment validation",
    }
)

MODULES = (
    *(c1_breakers, c1_clients, c1_neutral_calls, c2_admission, c2_levels, c2_memory, c2_metrics, c2_slow_clients),
    *(c3_startup, c4_audit, c4_keys, c4_redaction, c5_age, c5_entries, c5_loads),
    *(c6_delivery, c6_drain, c6_recovery, c6_reload, c7_deployment),
)


def _collected() -> dict[str, Claim]:
    found = [one for module in MODULES for one in vars(module).values() if isinstance(one, Claim)]
    return {one.id: one for one in sorted(found, key=lambda one: one.id)}


CLAIMS: Mapping[str, Claim] = MappingProxyType(_collected())
"""By id, in the order of the ids."""


def select(names: Iterable[str]) -> list[str]:
    """Claim ids for names of claims or components (``C2``, ``C5.3``), in the order of the ids.

    Raises:
        ValueError: for a name that is neither.
    """
    wanted: set[str] = set()
    for name in names:
        hit = [one.id for one in CLAIMS.values() if name in {one.id, one.component}]
        if not hit:
            raise ValueError(f"claim is {name!r}, allowed: {', '.join(COMPONENTS)}, {', '.join(CLAIMS)}")
        wanted.update(hit)
    return sorted(wanted)


def judge_all(histories: Mapping[str, History], claims: Iterable[str] | None = None) -> list[Verdict]:
    """Each claim judged on each history and merged to one verdict, in the order of the ids.

    Args:
        histories: by name; the name stands in the verdicts.
        claims: ids or components; ``None`` means all.
    """
    ids = list(CLAIMS) if claims is None else select(claims)
    return [merge(one, [CLAIMS[one](history, name) for name, history in histories.items()]) for one in ids]
