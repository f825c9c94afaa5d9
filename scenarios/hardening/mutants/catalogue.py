"""Every sabotage that is shipped: what it breaks, which claim must turn red, which scenario shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One deliberate break.

    Attributes:
        name: its name, and that of its function.
        file: file beside this one.
        claim: the claim that must turn red.
        scenario: the scenario in which it shows.
        world: where that scenario runs: ``simulated`` where that world can show it, else ``live``.
    """

    name: str
    file: str
    claim: str
    scenario: str
    world: Literal["simulated", "live"] = "simulated"

    @property
    def reference(self) -> str:
        """``FILE.py:NAME`` for ``--sabotage``."""
        return f"{Path(__file__).with_name(self.file)}:{self.name}"


SABOTAGES: Mapping[str, Sabotage] = MappingProxyType(
    {
        one.name: one
        for one in (
            Sabotage("no_rate_limit", "budgets.py", "C2.2", "burst"),
            Sabotage("permit_kept_on_cancellation", "budgets.py", "C2.1", "cancelled-herd"),
            Sabotage("no_lock_per_key", "cache.py", "C5.1", "cancelled-herd"),
            Sabotage("exception_texts_unredacted", "security.py", "C4.1", "secrets"),
            Sabotage("half_open_lets_all_through", "clients.py", "C1.2", "ticker-outage"),
            Sabotage("reload_mutates_in_place", "operations.py", "C6.3", "signals"),
            Sabotage("redaction_backtracks", "security.py", "C4.3", "hostile-lines", "live"),
            Sabotage("cancellations_counted_as_failures", "clients.py", "C1.3", "cancelled-herd"),
            Sabotage("one_breaker_for_all", "clients.py", "C1.4", "alert-outage"),
            Sabotage("no_jitter", "clients.py", "C1.5", "flaky-network"),
            Sabotage("posts_without_key", "clients.py", "C1.5", "alert-outage"),
            Sabotage("clients_never_closed", "clients.py", "C1.6", "cancelled-herd"),
            Sabotage("breaker_never_half_opens", "clients.py", "C6.4", "ticker-outage"),
            Sabotage("nothing_is_shed", "budgets.py", "C2.3", "pressure"),
            Sabotage("no_deadline", "budgets.py", "C2.4", "deadline"),
            Sabotage("cache_never_evicts", "cache.py", "C2.5", "soak", "live"),
            Sabotage("requests_remembered", "budgets.py", "C2.5", "soak", "live"),
            Sabotage("sheds_not_counted", "budgets.py", "C2.6", "pressure"),
            Sabotage("slow_clients_never_cut", "budgets.py", "C2.7", "rude-clients"),
            Sabotage("digits_redacted", "security.py", "C4.2", "secrets"),
            Sabotage("scopes_not_checked", "security.py", "C4.5", "secrets"),
            Sabotage("audit_loses_records", "security.py", "C4.4", "secrets"),
            Sabotage("audit_failure_ignored", "security.py", "C4.6", "full-disk"),
            Sabotage("corrupt_entry_raised", "cache.py", "C5.4", "damaged-entries"),
            Sabotage("ttl_on_the_wall_clock", "cache.py", "C5.6", "clock-jumps"),
            Sabotage("redis_given_up", "cache.py", "C5.5", "redis-outage"),
            Sabotage("drain_waits_for_nobody", "operations.py", "C6.1", "signals"),
            Sabotage("starts_without_dependencies", "operations.py", "C3.1", "startup"),
            Sabotage("readiness_lies", "operations.py", "C3.2", "startup"),
            Sabotage("hanging_dependency_not_bounded", "operations.py", "C3.3", "startup"),
            Sabotage("accepts_before_durable", "operations.py", "C6.2", "service-killed"),
            Sabotage("idempotency_key_ignored", "operations.py", "C6.5", "alert-outage"),
            Sabotage("nonsense_is_corrected", "operations.py", "C1.1", "deployment", "live"),
            Sabotage("resolver_errors_are_fatal", "clients.py", "C1.7", "unresolved-name"),
            Sabotage("preflight_sees_no_danger", "operations.py", "C7.2", "deployment", "live"),
            Sabotage("gate_lets_unknown_through", "certificates.py", "C7.1", "gate", "live"),
            Sabotage("gate_believes_the_file", "certificates.py", "C7.1", "gate", "live"),
            Sabotage("verdicts_not_judged_anew", "certificates.py", "C7.3", "gate", "live"),
            Sabotage("digests_not_checked", "certificates.py", "C7.3", "gate", "live"),
            Sabotage("one_slot_too_many", "limits.py", "C2.2", "burst"),
            Sabotage("one_permit_too_many", "limits.py", "C2.1", "cancelled-herd"),
            Sabotage("permit_kept_on_error", "limits.py", "C2.1", "deadline"),
            Sabotage("retry_after_of_zero", "limits.py", "C2.3", "pressure"),
            Sabotage("hysteresis_dropped", "limits.py", "C2.3", "pressure"),
            Sabotage("events_counted_twice", "limits.py", "C2.6", "pressure"),
            Sabotage("deadline_per_read", "limits.py", "C2.4", "deadline"),
            Sabotage("breakers_on_the_wall_clock", "limits.py", "C5.6", "clock-windows"),
            Sabotage("window_on_the_wall_clock", "limits.py", "C5.6", "clock-windows"),
            Sabotage("ttl_kept_on_write", "cache.py", "C5.2", "slow-loads"),
            Sabotage("slow_load_overwrites", "cache.py", "C5.2", "slow-loads"),
            Sabotage("lock_deleted_in_use", "cache.py", "C5.3", "slow-loads"),
            Sabotage("superseded_load_not_awaited", "cache.py", "C5.3", "slow-loads"),
            Sabotage("stale_beyond_grace", "cache.py", "C5.5", "long-outage"),
            Sabotage("copies_not_marked", "cache.py", "C5.5", "redis-outage"),
            Sabotage("breaker_opens_one_late", "clients.py", "C1.2", "ticker-outage"),
            Sabotage("cancelled_probe_keeps_its_lease", "clients.py", "C1.2", "hung-probe"),
            Sabotage("retry_budget_ignored", "clients.py", "C1.5", "flaky-network"),
            Sabotage("audit_write_not_flushed", "security.py", "C4.4", "secrets"),
            Sabotage("own_secrets_not_known", "security.py", "C4.1", "secrets"),
            Sabotage("answers_shared_between_users", "security.py", "C4.5", "secrets"),
            Sabotage("startup_in_step", "lifecycle.py", "C3.3", "startup"),
            Sabotage("startup_gives_up_at_once", "lifecycle.py", "C3.1", "startup"),
            Sabotage("refused_reload_half_applied", "lifecycle.py", "C6.3", "signals"),
            Sabotage("ready_while_draining", "lifecycle.py", "C6.1", "signals"),
            Sabotage("acknowledged_before_delivery", "lifecycle.py", "C6.2", "service-killed"),
            Sabotage("outbox_without_bound", "lifecycle.py", "C6.5", "alert-outage"),
            Sabotage("bodies_not_compared", "lifecycle.py", "C6.5", "alert-outage"),
            Sabotage("memory_not_felt", "pressure.py", "C2.3", "levels"),
            Sabotage("processor_not_felt", "pressure.py", "C2.3", "levels"),
            Sabotage("lag_not_felt", "pressure.py", "C2.3", "levels"),
            Sabotage("moderate_loads_afresh", "pressure.py", "C2.3", "levels"),
            Sabotage("critical_held_to_the_rate", "pressure.py", "C2.3", "burst"),
            Sabotage("late_answers_count", "late.py", "C1.3", "late-answers"),
            Sabotage("refusals_open_it", "late.py", "C1.3", "late-answers"),
            Sabotage("refusals_retried", "late.py", "C1.5", "late-answers"),
            Sabotage("entries_of_other_keys_believed", "entries.py", "C5.4", "every-damage"),
            Sabotage("checksums_not_compared", "entries.py", "C5.4", "every-damage"),
            Sabotage("bad_entries_left", "entries.py", "C5.4", "every-damage"),
            Sabotage("bad_entries_not_counted", "entries.py", "C5.4", "every-damage"),
            Sabotage("leader_takes_followers", "entries.py", "C5.1", "cancelled-herd"),
            Sabotage("cards_without_luhn", "security.py", "C4.2", "secrets"),
            Sabotage("busy_costs_a_slot", "pressure.py", "C2.2", "permits-and-slots"),
            Sabotage("shed_costs_a_slot", "pressure.py", "C2.2", "permits-and-slots"),
            Sabotage("bodies_of_any_size", "door.py", "C2.7", "rude-unscaled"),
            Sabotage("bodies_read_under_a_permit", "door.py", "C2.7", "rude-unscaled"),
            Sabotage("dangers_reloaded", "door.py", "C6.3", "signals"),
            Sabotage("volatile_store_unsaid", "door.py", "C6.2", "volatile-store"),
            Sabotage("alerts_given_up", "delivery.py", "C6.2", "refused-alerts"),
            Sabotage("dead_letters_dropped", "delivery.py", "C6.2", "refused-alerts"),
            Sabotage("documents_for_everybody", "security.py", "C4.5", "secrets"),
            Sabotage("keys_of_all_users_in_one_place", "security.py", "C4.5", "alert-outage"),
            Sabotage("second_signal_kills", "lifecycle.py", "C6.1", "signals"),
            Sabotage("second_signal_cuts_the_drain", "lifecycle.py", "C6.1", "signals"),
            Sabotage("drain_forgets_the_worker", "lifecycle.py", "C1.6", "alert-outage"),
            Sabotage("entitlement_shared_between_users", "security.py", "C4.5", "secrets"),
            Sabotage("entitled_to_all_or_nothing", "security.py", "C4.5", "secrets"),
            Sabotage("first_symbol_decides", "security.py", "C4.5", "secrets"),
            Sabotage("critical_from_the_main_pool", "limits.py", "C2.1", "cancelled-herd"),
            Sabotage("reserve_for_everybody", "limits.py", "C2.1", "cancelled-herd"),
            Sabotage("slot_lost_on_cancellation", "clients.py", "C1.6", "cancelled-herd"),
            Sabotage("close_failure_ends_the_closing", "clients.py", "C1.6", "cancelled-herd"),
            Sabotage("sheds_counted_as_errors", "limits.py", "C2.6", "pressure"),
            Sabotage("thrift_for_ever", "budgets.py", "C2.6", "pressure"),
            Sabotage("audit_names_no_request", "security.py", "C4.4", "secrets"),
            Sabotage("audit_names_nobody", "security.py", "C4.4", "secrets"),
            Sabotage("redis_left_alone_for_long", "cache.py", "C5.5", "redis-outage"),
            Sabotage("rollback_to_the_first", "operations.py", "C6.3", "reload-while-open"),
            Sabotage("hangup_ignored", "operations.py", "C6.3", "signals"),
            Sabotage("keys_of_before", "operations.py", "C4.5", "reload-while-open"),
            Sabotage("breakers_of_before", "operations.py", "C6.3", "reload-while-open"),
            Sabotage("reload_empties_the_window", "operations.py", "C2.2", "rate-minutes"),
            Sabotage("ends_only_once_started", "operations.py", "C3.3", "startup"),
            Sabotage("invalidated_here_only", "cache.py", "C5.3", "slow-loads"),
            Sabotage("stale_copies_not_marked", "cache.py", "C5.5", "long-outage"),
            Sabotage("keys_in_query_strings", "security.py", "C4.5", "secrets"),
            Sabotage("failures_never_forgotten", "clients.py", "C1.3", "hiccups"),
            Sabotage("unknown_means_allowed", "security.py", "C4.5", "hiccups"),
            Sabotage("user_by_header", "security.py", "C4.5", "secrets"),
            Sabotage("deliveries_without_a_wait", "delivery.py", "C1.5", "alert-outage"),
        )
    }
)
