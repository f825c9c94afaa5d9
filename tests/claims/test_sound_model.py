"""No alarm on a sound service, whatever is asked of it and whatever befalls it; one bug in it, and there is one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from judge_model import Model

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome
from hardening.history.events import Event, History

SEEDS = st.integers(0, 2**32)
SHARES = st.sampled_from([0.0, 0.1, 0.4, 0.9])


def failures(history: History) -> list[tuple[str, str, object]]:
    verdicts = judge_all({"model": history})
    return [(v.claim, v.reason, v.evidence) for v in verdicts if v.outcome is Outcome.FAIL or "crashed" in v.reason]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, requests=st.integers(0, 120), sick=SHARES, impatient=SHARES)
def test_a_sound_service_never_fails(seed: int, requests: int, sick: float, impatient: float):
    assert not failures(Model(seed, requests, sick, impatient).run())


def busy(seed: int) -> History:
    return Model(seed, 120, 0.4, 0.3).run()


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, pick=st.randoms(use_true_random=False))
def test_any_permit_that_is_never_given_back_is_found(seed: int, pick: object):
    history = busy(seed)
    back = [e for e in history.events if e.f == "permit_returned"]
    lost = pick.choice(back)  # type: ignore[attr-defined]
    broken = History(history.header, [e for e in history.events if e is not lost])
    assert "C2.1" in {claim for claim, *_ in failures(broken)}


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, pick=st.randoms(use_true_random=False))
def test_any_admission_into_a_full_window_is_found(seed: int, pick: object):
    history = busy(seed)
    refused = [e for e in history.events if e.f == "rejected" and e.value["reason"] == "rate"]
    if not refused:
        return
    at_s = pick.choice(refused).t  # type: ignore[attr-defined]
    extra = Event(at_s, "service", "state", "admitted", {"route": "signal", "priority": "normal"}, "extra")
    found = failures(History(history.header, [*history.events, extra]))
    assert "C2.2" in {claim for claim, *_ in found}


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, pick=st.randoms(use_true_random=False))
def test_any_call_let_through_an_open_breaker_is_found(seed: int, pick: object):
    history = busy(seed)
    openings = [e for e in history.events if e.f == "breaker" and e.value["new"] == "open"]
    if not openings:
        return
    at_s = pick.choice(openings).t + 3.0  # type: ignore[attr-defined]
    what = {"method": "GET", "path": "/candles/AAA", "request_id": "stranger"}
    extra = Event(at_s, "ticker", "invoke", "arrival", what, "extra")
    found = failures(History(history.header, [*history.events, extra]))
    assert "C1.2" in {claim for claim, *_ in found}


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, pick=st.randoms(use_true_random=False))
def test_any_alert_that_no_receiver_took_is_found(seed: int, pick: object):
    history = busy(seed)
    accepted = [e for e in history.events if e.f == "outbox" and e.value["event"] == "accepted"]
    if not accepted:
        return
    alert = pick.choice(accepted).value["alert_id"]  # type: ignore[attr-defined]
    kept = [e for e in history.events if e.value.get("idempotency_key") != alert]
    last_s = history.events[-1].t + 60.0
    empty = Event(last_s, "harness", "state", "probe", {"probe": "outbox", "depth": 0, "dead": 0})
    found = failures(History(history.header, [*kept, empty]))
    assert "C6.2" in {claim for claim, *_ in found}
