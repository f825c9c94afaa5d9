"""C2.3: pressure that the harness saw from outside must have been felt, whatever it came from.

Memory and processor are read by the harness itself twice a second; a stall of the event loop is a fault that measured
its own bite. A level says what was in force all the while; a service that looks at only some of its budgets gives
itself away by one that it never entered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hardening.claims.figures import largest
from hardening.claims.levels import LEVELS, Timeline, rank
from hardening.claims.views import Life, end_s, faults, frozen_spans, overlaps
from hardening.history.events import Event, History

MB = 1 << 20
MARGIN = 0.05
"""So far above its threshold a reading must be: theirs and ours are not of the same moment."""
SETTLE_S = 1.5
"""The service samples every quarter of a second; it is given this long to act on what it read."""
CPU_SETTLE_S = 2.0
STALL_S = 3.0
BEAT_MS = 250.0
"""Of each second between two samples: they are made of five short sleeps, and one more is left to chance."""


def level_not_entered(history: History, life: Life, timeline: Timeline) -> tuple[str, list[Event]]:
    """A budget that was used up to a level's threshold, and a level that stayed below; the events that show it."""
    began = next((e.t for e in life.states("startup") if e.value["phase"] == "ready"), None)
    over = min([life.ended_s, end_s(history), *(e.t for e in life.states("drain"))])
    if began is None:
        return "", []
    samples = [s for s in history.states("sample") if began + SETTLE_S <= s.t <= over]
    frozen = frozen_spans(history)
    memory = _runs(samples, [_memory_share(history, s) for s in samples], history)
    cpu = _runs(samples, _cpu_shares(history, samples), history)
    for what, settle_s, runs in (("memory", SETTLE_S, memory), ("processor", CPU_SETTLE_S, cpu)):
        for level, run in runs:
            begin, end = run[0].t + settle_s, run[-1].t
            if begin < end and not overlaps(frozen, begin, end) and timeline.highest(begin, end) < rank(level):
                return f"{what} was used up to {level}, and that level was not entered", [run[0], run[-1]]
    return _stall_not_felt(history, timeline, began, over)


def _memory_share(history: History, sample: Event) -> float:
    return float(sample.value["rss_bytes"]) / (largest(history, "budgets", "memory_mb") * MB)


def _cpu_shares(history: History, samples: Sequence[Event]) -> list[float]:
    """At each sample the least that the average over the service's own window can be, as a share of its budget."""
    window_s, budget = largest(history, "budgets", "cpu_window_s"), largest(history, "budgets", "cpu_share")
    found = []
    for sample in samples:
        inside = [float(s.value["cpu_share"]) for s in samples if sample.t - window_s <= s.t <= sample.t]
        whole = sample.t - samples[0].t >= window_s
        found.append(min(inside) / budget if whole else 0.0)
    return found


def _runs(samples: Sequence[Event], shares: Sequence[float], history: History) -> Iterator[tuple[str, list[Event]]]:
    """Unbroken stretches of samples at or above each level's threshold."""
    for level in LEVELS[1:]:
        least = largest(history, "levels", level) + MARGIN
        run: list[Event] = []
        for sample, share in zip(samples, shares, strict=True):
            if share >= least:
                run.append(sample)
                continue
            if run:
                yield level, run
            run = []
        if run:
            yield level, run


def _stall_not_felt(history: History, timeline: Timeline, began: float, over: float) -> tuple[str, list[Event]]:
    """A stall that bit, as long as a level's share of the loop's budget, after which that level was not entered."""
    budget_ms = largest(history, "budgets", "loop_lag_ms")
    for broken in faults(history):
        if broken.kind != "event_loop_stall" or not broken.bit or broken.heal is None:
            continue
        if not began <= broken.inject.t <= broken.healed_s + STALL_S <= over:
            continue
        # A stall is felt by the short sleep that it hits, less what that had to sleep anyway.
        felt_ms = (
            float(broken.inject.value["parameters"]["stall_ms"]) - largest(history, "levels", "sample_s") * BEAT_MS
        )
        share = felt_ms / budget_ms
        due = [level for level in LEVELS[1:] if share >= largest(history, "levels", level) + MARGIN]
        if due and timeline.highest(broken.inject.t, broken.healed_s + STALL_S) < rank(due[-1]):
            return f"the loop stood still long enough for {due[-1]}, and that level was not entered", [
                broken.inject,
                broken.heal,
            ]
    return "", []
