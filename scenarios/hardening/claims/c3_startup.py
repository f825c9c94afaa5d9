"""C3.1 to C3.3: starting without, with late, and with hanging dependencies."""

from __future__ import annotations

from collections import Counter

from hardening.claims.claim import claim
from hardening.claims.limits import CLOCK_SLACK_S, limit
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import lives, probes
from hardening.history.events import Event, History

CRITICAL = ("redis", "ticker", "user")
OPTIONAL = ("alert", "comms")
ELAPSED_SLACK_S = 2.0
"""For the interpreter to start, and the harness to notice the end."""
TERM_MAX_S = 2.0
JITTER_SAMPLES_MIN = 4
HANGING_SLACK_S = 0.5


def _missing_cases(tried: list[Event], cases: tuple[str, ...], names: tuple[str, ...]) -> list[str]:
    seen = {(str(p.value.get("case")), str(p.value.get("dependency"))) for p in tried}
    return [f"{name} {case}" for case in cases for name in names if (case, name) not in seen]


def _bad_refusal(probe: Event, longest_s: float) -> str:
    """What is wrong with a start that had to fail; empty when nothing is."""
    line = str(probe.value.get("line") or "")
    name = str(probe.value["dependency"])
    code = probe.value.get("exit_code")
    if probe.value.get("served"):
        return f"it served without {name}"
    if not isinstance(code, int) or code <= 0:
        return f"exit code {code} without {name}"
    if name not in line.lower() or "\n" in line.strip():
        return f"the line does not name {name}: {line[:120]!r}"
    if float(probe.value["elapsed_s"]) > longest_s:
        return f"it took {probe.value['elapsed_s']} s to give up"
    return ""


def _served_before_ready(history: History) -> list[Event]:
    """A product request that was served in a life before that life was ready."""
    for life in lives(history):
        ready = next((e for e in life.states("startup") if e.value["phase"] == "ready"), None)
        if ready is None:
            continue
        early = [e for e in life.states("admitted") if e.t < ready.t - CLOCK_SLACK_S]
        if early:
            return [early[0], ready]
    return []


@claim(
    "C3.1",
    "Critical dependencies",
    premise="Each of the three was absent once and late once.",
    shown_by=("startup",),
    limits=("startup",),
)
def judge_critical(history: History) -> Verdict:
    """Without Redis, ticker or user in time the start fails with a line that names it; it never serves before."""
    tried = [p for p in probes(history, "startup") if p.value.get("dependency") in CRITICAL]
    longest_s = limit(history, "startup", "total_s") + ELAPSED_SLACK_S
    for probe in tried:
        name, case = str(probe.value["dependency"]), probe.value["case"]
        if probe.value.get("served_early"):
            return failed(len(tried), f"it served before {name} was up", [probe])
        wrong = _bad_refusal(probe, longest_s) if case == "absent" else ""
        if case in {"late", "flapping"} and not probe.value.get("served"):
            wrong = f"{name} came in time and the service did not start"
        if wrong:
            return failed(len(tried), wrong, [probe])
    if evidence := _served_before_ready(history):
        return failed(len(tried), "it served before it was ready", evidence)
    missing = _missing_cases(tried, ("absent", "late"), CRITICAL)
    if missing:
        return unknown(f"not tried: {', '.join(missing)}", tried=len(tried))
    slowest_s = max(float(p.value["elapsed_s"]) for p in tried)
    return passed(len(tried), starts=len(tried), slowest_s=round(slowest_s, 2))


@claim(
    "C3.2",
    "Optional dependencies",
    premise="Each of the two was absent at start and came up later.",
    shown_by=("startup",),
)
def judge_optional(history: History) -> Verdict:
    """Without alert or comms the service starts degraded, says so, and recovers without a restart."""
    tried = [p for p in probes(history, "startup") if p.value.get("dependency") in OPTIONAL]
    for probe in tried:
        name = str(probe.value["dependency"])
        if probe.value["case"] not in {"absent", "hanging"}:
            continue
        if not probe.value.get("served"):
            return failed(len(tried), f"it did not start without {name}", [probe])
        if name not in list(probe.value.get("degraded") or []):
            return failed(len(tried), f"/ready does not report that {name} is missing", [probe])
        if not probe.value.get("recovered"):
            return failed(len(tried), f"{name} came up and it did not recover", [probe])
    missing = _missing_cases(tried, ("absent",), OPTIONAL)
    if missing:
        return unknown(f"not tried: {', '.join(missing)}", tried=len(tried))
    return passed(len(tried), starts=len(tried))


def _bad_attempts(history: History) -> tuple[str, list[Event], int]:
    """Waits out of bounds or without jitter at start-up; and how many attempts were repeated."""
    base_s, cap_s = limit(history, "startup", "base_s"), limit(history, "startup", "cap_s")
    waits: list[Event] = []
    for life in lives(history):
        tries: Counter[str] = Counter()
        for event in life.states("startup", phase="attempt"):
            name = str(event.value.get("dependency"))
            tries[name] += 1
            wait_s = event.value.get("wait_s")
            if not isinstance(wait_s, int | float) or wait_s <= 0:
                continue
            waits.append(event)
            number = int(event.value.get("attempt") or tries[name])
            bound_s = min(cap_s, base_s * 2.0 ** (number - 1))
            if wait_s > bound_s + CLOCK_SLACK_S:
                return f"a wait of {wait_s:g} s before attempt {number}, at most {bound_s:g} s", [event], len(waits)
    repeated = Counter(round(float(e.value["wait_s"]), 6) for e in waits)
    if len(waits) >= JITTER_SAMPLES_MIN and repeated.most_common(1)[0][1] > len(waits) // 2:
        same_s = repeated.most_common(1)[0][0]
        same = [e for e in waits if round(float(e.value["wait_s"]), 6) == same_s]
        return "waits without jitter: half of them are the same", same[:JITTER_SAMPLES_MIN], len(waits)
    return "", [], len(waits)


def _too_long(history: History) -> tuple[str, list[Event]]:
    """Start-up attempts that go on past their total, or of which one took longer than its timeout."""
    total_s = limit(history, "startup", "total_s") + ELAPSED_SLACK_S
    attempt_s = limit(history, "startup", "attempt_s") + HANGING_SLACK_S
    for life in lives(history):
        critical = [e for e in life.states("startup", phase="attempt") if e.value.get("dependency") not in OPTIONAL]
        if critical and critical[-1].t - critical[0].t > total_s:
            return f"attempts for more than {total_s:g} s", [critical[0], critical[-1]]
        for event in critical:
            if float(event.value.get("elapsed_s") or 0.0) > attempt_s and event.value.get("attempt") == 1:
                return f"one attempt took longer than {attempt_s:g} s", [event]
    return "", []


@claim(
    "C3.3",
    "Bounded attempts",
    premise="Start-up attempts were repeated, one dependency hung, and one start was ended by SIGTERM.",
    shown_by=("startup",),
    needs=("startup",),
    limits=("startup",),
)
def judge_attempts(history: History) -> Verdict:
    """Attempts are bounded and jittered; a hanging dependency costs its timeout; SIGTERM ends start-up."""
    tried = probes(history, "startup")
    reason, evidence, waits = _bad_attempts(history)
    if not evidence:
        reason, evidence = _too_long(history)
    if evidence:
        return failed(waits, reason, evidence)
    total_s = limit(history, "startup", "total_s") + limit(history, "startup", "attempt_s") + ELAPSED_SLACK_S
    for probe in tried:
        case, elapsed_s = probe.value["case"], float(probe.value.get("elapsed_s") or 0.0)
        if case == "hanging" and elapsed_s > total_s:
            return failed(len(tried), f"a hanging dependency cost {elapsed_s:g} s", [probe])
        if case == "sigterm" and (elapsed_s > TERM_MAX_S or probe.value.get("exit_code") is None):
            return failed(len(tried), f"SIGTERM during the start took {elapsed_s:g} s", [probe])
        if probe.value.get("leftovers"):
            return failed(len(tried), f"leaked: {probe.value['leftovers']}", [probe])
    cases = {str(p.value["case"]) for p in tried}
    missing = sorted({"hanging", "sigterm"} - cases)
    if missing:
        return unknown(f"not tried: {', '.join(missing)}", waits=waits)
    if not waits:
        return unknown("no start-up attempt was repeated")
    return passed(waits, waits=waits, starts=len(tried))
