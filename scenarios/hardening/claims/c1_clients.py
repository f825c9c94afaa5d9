"""C1.5 to C1.7: attempts, waits and idempotency keys; clients that are built once, closed once, and leave nothing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter

from hardening.claims.claim import claim
from hardening.claims.limits import CLOCK_SLACK_S, CROSSING_SLACK_S, DOWNSTREAMS, largest, limit, smallest
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import Arrival, Life, arrivals, asked, faults, lives, overlaps, probes
from hardening.history.events import Event, History

JITTER_SAMPLES_MIN = 8
HOT_IN_A_ROW = 5
"""Failed deliveries without a wait between them: one or two may be an alert that another worker claimed."""
RETRYABLE = frozenset({408, 429})


def _too_many_attempts(history: History, name: str, here: list[Arrival]) -> list[Event]:
    """Arrivals of one call beyond 1 + retries; a call is known by its request and path, or by its key."""
    most = 1 + int(largest(history, "downstreams", name, "retries"))
    killed = any(life.killed for life in lives(history))
    calls = Counter(e.id for e in history.states("call", name=name))
    keyed = Counter(str(e.value.get("key") or "") for e in history.states("call", name=name))
    groups: dict[tuple[str, str], list[Arrival]] = {}
    for arrival in here:
        if arrival.attempt > most:
            return [arrival.invoke]
        joint = (arrival.key, "") if arrival.key else (arrival.request_id, str(arrival.invoke.value["path"]))
        if joint[0]:
            groups.setdefault(joint, []).append(arrival)
    for (mark, path), members in groups.items():
        logged = calls[mark] if path else keyed[mark]
        firsts = sum(a.attempt == 1 for a in members)
        # The smaller count of calls holds: attempt numbers may be wrong, and a request may make several calls.
        # A killed process does not log its last calls; then only the attempt numbers are left.
        allowed = most * max(firsts if killed or not logged else min(logged, max(firsts, 1)), 1)
        if len(members) > allowed:
            return [a.invoke for a in members[: allowed + 1]]
    for event in history.states("call", name=name):
        if int(event.value["attempts"]) > most:
            return [event]
    return []


def _over_budget(history: History, name: str, here: list[Arrival]) -> list[Event]:
    """Retries within one budget window of one life beyond what the calls of that window allow."""
    for life in lives(history):
        mine = [a for a in here if life.began_s <= a.invoke.t <= life.ended_s]
        if evidence := _over_budget_in(history, life, name, mine):
            return evidence
    return []


def _over_budget_in(history: History, life: Life, name: str, here: list[Arrival]) -> list[Event]:
    window_s = limit(history, "retry", "budget_window_s")
    share, least = largest(history, "retry", "budget_share"), largest(history, "retry", "budget_min")
    # A call is noted when it begins, at most one attempt's way before it arrives; a refused connection never does.
    calls = sorted(
        [a.invoke.t for a in here if a.attempt == 1]
        + [e.t - float(e.value["duration_s"]) for e in life.states("call", name=name)]
    )
    retries = [a for a in here if a.attempt > 1]
    times = [a.invoke.t for a in retries]
    for number, arrival in enumerate(retries):
        since_s = arrival.invoke.t - window_s
        first = bisect_right(times, since_s + CROSSING_SLACK_S)
        noted = bisect_right(calls, arrival.invoke.t + CROSSING_SLACK_S) - bisect_left(
            calls, since_s - CROSSING_SLACK_S
        )
        if number - first + 1 > max(least, share * noted):
            return [a.invoke for a in retries[first : number + 1]]
    return []


def _repeated_after_4xx(here: list[Arrival]) -> list[Event]:
    """A call that was repeated after a 4xx."""
    refused: dict[tuple[str, str], Arrival] = {}
    for arrival in here:
        mark = (arrival.key, "") if arrival.key else (arrival.request_id, str(arrival.invoke.value["path"]))
        if not mark[0]:
            continue
        before = refused.get(mark)
        if before is not None and (arrival.attempt > 1 or arrival.key) and arrival.invoke.t >= before.ended_s:
            return [*before.events(), arrival.invoke]
        if 400 <= arrival.status < 500 and arrival.status not in RETRYABLE:  # the 4xx
            refused[mark] = arrival
    return []


def _bad_wait(history: History) -> tuple[str, list[Event], int]:
    """A wait that is out of its bounds, or waits without jitter; and how many waits there were."""
    base_s, cap_s = largest(history, "retry", "base_s"), largest(history, "retry", "cap_s")
    waits = [e for e in history.states("attempt") if int(e.value["attempt"]) > 1]
    for event in waits:
        bound_s = min(cap_s, base_s * 2.0 ** (int(event.value["attempt"]) - 2))
        if not 0.0 <= float(event.value["wait_s"]) <= bound_s + CLOCK_SLACK_S:
            return f"a wait outside 0 to {bound_s:g} s", [event], len(waits)
    seconds = [e for e in waits if int(e.value["attempt"]) == 2]  # one bound for all of them
    if len(seconds) >= JITTER_SAMPLES_MIN:
        most, count = Counter(round(float(e.value["wait_s"]), 6) for e in seconds).most_common(1)[0]
        if count > len(seconds) // 2:
            same = [e for e in seconds if round(float(e.value["wait_s"]), 6) == most]
            return "waits without jitter: half of them are the same", same[:JITTER_SAMPLES_MIN], len(waits)
    return "", [], len(waits)


def _hot_deliveries(history: History) -> list[Event]:
    """Deliveries of one alert to one receiver that failed one right after the other, again and again."""
    gap_s = smallest(history, "outbox", "base_s") / 4  # the shortest wait is twice that
    for life in lives(history):
        failed_at: dict[tuple[str, str], list[Event]] = {}
        for event in life.states("outbox", event="attempt_failed"):
            mark = (str(event.value.get("alert_id", "")), str(event.value.get("receiver", "")))
            row = failed_at.setdefault(mark, [])
            if row and event.t - row[-1].t >= gap_s:
                row.clear()
            row.append(event)
            if len(row) >= HOT_IN_A_ROW:
                return row
    return []


@claim(
    "C1.5",
    "Bounded retries",
    premise="A call was retried and its waits were recorded.",
    shown_by=("flaky-network",),
    needs=("arrival", "attempt"),
    limits=("outbox.base_s", "retry", "downstreams"),
    whole_log=True,
)
def judge_attempts(history: History) -> Verdict:
    """Attempts stay within calls x (1 + retries) and the retry budget: jitter, keys on POST, none after a 4xx."""
    retries = 0
    for name in DOWNSTREAMS:
        here = arrivals(history, name)
        retries += sum(a.attempt > 1 for a in here)
        # A head in which a byte was flipped on its way arrives with another name for the key, or with none.
        flipped = [(b.inject.t, b.healed_s) for b in faults(history) if b.kind == "net_corrupt" and b.target == name]
        posted = [a for a in here if a.invoke.value["method"] == "POST"]
        keyless = [a.invoke for a in posted if not a.key and not overlaps(flipped, a.invoke.t, a.invoke.t)]
        for reason, evidence in (
            (f"{name}: more attempts than 1 + retries", _too_many_attempts(history, name, here)),
            (f"{name}: more retries than their budget", _over_budget(history, name, here)),
            (f"{name}: a POST without idempotency key", keyless[:1]),
            (f"{name}: repeated after a 4xx", _repeated_after_4xx(here)),
        ):
            if evidence:
                return failed(retries, reason, evidence)
    if evidence := _hot_deliveries(history):
        return failed(retries, "an alert was delivered again and again without a wait", evidence)
    reason, evidence, waits = _bad_wait(history)
    if evidence:
        return failed(retries, reason, evidence)
    if not retries:
        return unknown("no call was retried")
    if not waits:
        return unknown("the waits were not recorded (log_events is 'summary')", retries=retries)
    return passed(retries, retries=retries, waits=waits)


def _client_counts(life: Life) -> tuple[str, list[Event]]:
    """A client that was built or closed twice, or never closed though the life ended by itself."""
    for name in DOWNSTREAMS:
        made = life.states("client", name=name, event="built")
        gone = [e for e in life.states("client", name=name) if e.value["event"] in {"closed", "close_failed"}]
        if len(made) > 1:
            return f"{name}: built more than once", made
        if len(gone) > 1:
            return f"{name}: closed more than once", gone
        if made and not gone and life.exited is not None and not life.killed:
            return f"{name}: never closed", [made[0], life.exited]
        if gone and not made:
            return f"{name}: closed but never built", gone
    return "", []


@claim(
    "C1.6",
    "Clients made and closed once",
    premise="The service ended by itself after cancelled or timed-out requests; one client failed to close.",
    shown_by=("cancelled-herd",),
    needs=("client", "leftovers", "process"),
    whole_log=True,
)
def judge_clients_once(history: History) -> Verdict:
    """Each client is built and closed once, even when one fails to close; no socket, task or slot leaks."""
    clean = [life for life in lives(history) if life.exited is not None and not life.killed and life.states("client")]
    for life in lives(history):
        reason, evidence = _client_counts(life)
        if evidence:
            return failed(len(clean), reason, evidence)
    leftovers = history.states("leftovers")
    for event in leftovers:
        if event.value["found"]:
            return failed(len(clean), f"leaked: {event.value['found']}", [event])
    if evidence := _slots_lost(history):
        return failed(len(clean), "a pool slot, task or socket was not given back", evidence)
    foreign = [e for e in probes(history, "connections") if int(e.value.get("unowned", 0)) > 0]
    if foreign:
        return failed(len(clean), "a connection that belongs to none of the clients", foreign[:1])
    ends = Counter(str(e.value["why"]) for e in history.states("permit_returned"))
    harm = ends["cancelled"] + ends["disconnect"] + ends["timeout"]
    harm = harm or sum(a.left or a.status == 504 for a in asked(history))
    stuck = history.states("client", event="close_failed")
    if not clean:
        return unknown("no life of the service ended by itself")
    if not leftovers:
        return unknown("nothing looked for leaked resources")
    if not harm:
        return unknown("no request was cancelled or timed out")
    if not stuck:
        return unknown("no client failed to close")
    return passed(len(clean), clean_ends=len(clean), cancelled_or_timed_out=harm, failed_to_close=len(stuck))


def _slots_lost(history: History) -> list[Event]:
    idle = probes(history, "idle")
    before = [e for e in idle if e.value.get("when") == "before"]
    for after in (e for e in idle if e.value.get("when") == "after"):
        if int(after.value.get("pool_slots_in_use", 0)) > 0:
            return [after]
        for name in ("tasks", "sockets"):
            if before and name in after.value and int(after.value[name]) > int(before[0].value.get(name, 0)):
                return [before[0], after]
    return []


@claim(
    "C1.7",
    "A broken client is alone",
    premise="A client could not be built or a name did not resolve, while other calls were made.",
    shown_by=("unresolved-name",),
    needs=("arrival", "client"),
)
def judge_clients_apart(history: History) -> Verdict:
    """A client that cannot be built, or a name that does not resolve, leaves the others working."""
    broken = 0
    for life in lives(history):
        bad = [(str(e.value["name"]), e) for e in life.states("client", event="build_failed")]
        span = (life.began_s, life.ended_s)
        bad += [
            (str(e.value.get("downstream", "")), e)
            for e in probes(history, "unresolved_name")
            if span[0] <= e.t <= span[1]
        ]
        for name, event in bad:
            broken += 1
            others = [other for other in DOWNSTREAMS if other not in {n for n, _ in bad}]
            for other in others:
                if not life.states("client", name=other, event="built"):
                    return failed(broken, f"{other} was not built because {name} could not be", [event])
            if life.exited is not None and life.exited.value.get("exit_code") not in {0, None} and not life.killed:
                return failed(broken, f"the service ended because {name} could not be built", [event, life.exited])
    if not broken:
        return unknown("every client could be built and every name resolved")
    answered = [a for a in arrivals(history) if a.status]
    if not answered:
        return unknown("no call reached another downstream meanwhile", broken_clients=broken)
    return passed(broken, broken_clients=broken, calls_of_the_others=len(answered))
