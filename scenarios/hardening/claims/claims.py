"""Who judges which claim: ``JUDGES`` has one pure function from a history to a verdict for each of ``CLAIMS``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from hardening.claims import (
    audit,
    breakers,
    budgets,
    cache,
    cache_age,
    clients,
    delivery,
    deployment,
    endurance,
    neutral_calls,
    pressure,
    rare_failures,
    recovery,
    security,
    startup,
)
from hardening.claims.claim_table import COMPONENTS, TABLE, Claim
from hardening.claims.figures import FIGURES
from hardening.claims.verdict import Judge, Verdict, merge, run_judge, unknown
from hardening.claims.views import has_gaps
from hardening.history.events import History

__all__ = ["CLAIMS", "COMPONENTS", "FIGURES", "JUDGES", "Claim", "judge_all", "select"]

CLAIMS: Mapping[str, Claim] = MappingProxyType({claim.id: claim for claim in TABLE})

COUNTS_ON_THE_LOG = frozenset(
    {
        *("C1.2", "C1.3", "C1.4", "C1.5", "C1.6", "C2.1", "C2.2", "C2.3", "C2.4", "C2.6", "C4.4"),
        *("C5.1", "C5.2", "C5.3", "C5.4", "C5.5", "C5.6", "C6.1", "C6.3", "C6.4"),
    }
)
"""Claims whose judges pair or count what the service says of itself: a lost line would look like a broken promise."""


def _with_whole_log(claim: str, judge: Judge) -> Judge:
    def judged(history: History) -> Verdict:
        if has_gaps(history):
            return unknown(claim, "lines of the service's log were lost: what it says of itself has gaps")
        return judge(history)

    return judged if claim in COUNTS_ON_THE_LOG else judge


_JUDGES: Mapping[str, Judge] = MappingProxyType(
    {
        "C1.1": breakers.judge_breaker_settings,
        "C1.2": breakers.judge_breaker_walk,
        "C1.3": neutral_calls.judge_neutral_calls,
        "C1.4": breakers.judge_isolation,
        "C1.5": clients.judge_attempts,
        "C1.6": clients.judge_clients_once,
        "C1.7": clients.judge_clients_apart,
        "C2.1": budgets.judge_permits,
        "C2.2": budgets.judge_rate,
        "C2.3": pressure.judge_levels,
        "C2.4": budgets.judge_request_time,
        "C2.5": endurance.judge_memory,
        "C2.6": endurance.judge_metrics,
        "C2.7": endurance.judge_rude_clients,
        "C3.1": startup.judge_critical,
        "C3.2": startup.judge_optional,
        "C3.3": startup.judge_attempts,
        "C4.1": security.judge_no_secret,
        "C4.2": security.judge_kept,
        "C4.3": audit.judge_hostile_line,
        "C4.4": audit.judge_audit,
        "C4.5": security.judge_keys,
        "C4.6": audit.judge_full_disk,
        "C5.1": cache.judge_one_load,
        "C5.2": cache_age.judge_ttl,
        "C5.3": cache.judge_locks,
        "C5.4": cache.judge_bad_entries,
        "C5.5": cache_age.judge_without_redis,
        "C5.6": cache_age.judge_clock,
        "C6.1": rare_failures.judge_drain,
        "C6.2": delivery.judge_delivery,
        "C6.3": rare_failures.judge_reload,
        "C6.4": recovery.judge_recovery,
        "C6.5": delivery.judge_idempotency,
        "C7.1": deployment.judge_gate,
        "C7.2": deployment.judge_preflight,
        "C7.3": deployment.judge_verification,
    }
)

JUDGES: Mapping[str, Judge] = MappingProxyType(
    {claim: _with_whole_log(claim, judge) for claim, judge in _JUDGES.items()}
)


def select(names: Iterable[str]) -> list[str]:
    """Claim ids for names of claims or components (``C2``, ``C5.3``), in the table's order.

    Raises:
        ValueError: for a name that is neither.
    """
    wanted: set[str] = set()
    for name in names:
        hit = [claim.id for claim in TABLE if name in {claim.id, claim.component}]
        if not hit:
            raise ValueError(f"claim is {name!r}, allowed: {', '.join(COMPONENTS)}, {', '.join(CLAIMS)}")
        wanted.update(hit)
    return [claim.id for claim in TABLE if claim.id in wanted]


def judge_all(histories: Mapping[str, History], claims: Iterable[str] | None = None) -> list[Verdict]:
    """Each claim judged on each history and merged to one verdict, in the table's order.

    Args:
        histories: by name; the name stands in the verdicts.
        claims: ids or components; ``None`` means all.
    """
    ids = list(CLAIMS) if claims is None else select(claims)
    verdicts = []
    for claim in ids:
        found = [run_judge(claim, JUDGES[claim], history, name) for name, history in histories.items()]
        verdicts.append(merge(claim, found))
    return verdicts
