"""A scenario that breaks a claim is shrunk, told in words, kept as a session, and replayed from there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import strategies as st

from hardening.catalogue.pieces import schedule
from hardening.catalogue.scenario import Scenario
from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import History
from hardening.history.workload import Workload, herd, signal
from hardening.properties.faults import slot
from hardening.properties.rare import SESSIONS_VARIABLE, ScenarioFailedError, rare
from hardening.properties.strategies import SETTINGS, scenario
from hardening.runs.runner import spec_of
from hardening.runs.simulated import run_simulated
from hardening.sessions.session import Session
from hardening.simulator.core.plan import Plan
from hardening.worlds.spec import RunContext
from signal_service.admission.limits import RateWindow

SLOTS = 14


def crowded(callers: int, warm: int) -> Scenario:
    """Callers beyond a small rate window, and harmless ones that shrinking should take away."""
    asked = herd(0.2, callers, "AAPL") + Workload.of(signal(1.0 + i * 0.1, "MSFT") for i in range(warm))
    limits = {**SETTINGS, "budgets": {"accepted_per_window": SLOTS, "window_s": 60.0}}
    return scenario("crowded", asked, schedule(), settings=limits, steady=Workload())


def test_nothing_imports_the_six_classes() -> None:
    root = Path(__file__).parents[2]
    sources = [
        path for folder in ("scenarios", "benchmarks", "tests", "loadtests") for path in (root / folder).rglob("*.py")
    ]
    assert len(sources) > 100
    classes = [path.stem for path in (root / "scenarios").glob("test_*.py")]
    assert len(classes) == 7
    wanted = re.compile(rf"^\s*(from|import) (scenarios\.)?({'|'.join(classes)})\b", re.MULTILINE)
    assert [path for path in sources if wanted.search(path.read_text(encoding="utf-8"))] == []


def test_nobody_is_restarted_while_the_disk_of_its_log_is_full() -> None:
    full = {"kind": "disk_full", "target": "service"}
    restarted = slot({"kind": "process_signal", "target": "service"})
    assert slot({**full, "where": "logs"}) == restarted
    assert slot({**full, "where": "audit"}) != restarted


CROWDS = st.builds(crowded, st.integers(10, 30), st.integers(0, 8))


class OneTest:
    """What a class of scenarios holds."""

    @rare(CROWDS)
    def test_the_window_holds(self, history: History, verdicts: tuple[Verdict, ...]) -> None:
        assert history.states("settings")


@pytest.fixture
def leaky_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A window that lets one more through than it may, and a place for sessions."""
    resize = RateWindow.__init__

    def wider(self: RateWindow, most: int, window_s: float) -> None:
        resize(self, most + 1, window_s)

    monkeypatch.setattr(RateWindow, "__init__", wider)
    monkeypatch.setenv(SESSIONS_VARIABLE, str(tmp_path))
    monkeypatch.setattr("hardening.properties.rare.SHRINK_CPU_S", 12.0)
    return tmp_path


def test_what_breaks_a_claim_is_shrunk_and_told_and_can_be_replayed(leaky_window: Path) -> None:
    with pytest.raises(ScenarioFailedError) as caught:
        OneTest().test_the_window_holds()  # type: ignore[call-arg] # the decorator hands the rest in
    told = str(caught.value)
    assert "claim:     C2.2" in told
    assert told.splitlines()[-1].startswith("replay:   hardening replay ")
    assert len(told.splitlines()) < 20
    session = Session.load(Path(told.rpartition(" ")[2]))
    assert [judged.claim for judged in session.failures] == ["C2.2"]
    assert len(session.scenario.workload.operations) == SLOTS + 1  # no harmless request is left
    again = run_simulated(
        session.scenario, spec_of(session.scenario, RunContext(session.seed)), Plan.from_json(session.plan)
    )
    assert "C2.2" in {v.claim for v in again.verdicts if v.outcome is Outcome.FAIL}
    assert again.trace_digest == session.trace_digest


def test_a_sound_service_passes_and_leaves_no_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SESSIONS_VARIABLE, str(tmp_path))
    OneTest().test_the_window_holds()  # type: ignore[call-arg]
    assert not list(tmp_path.iterdir())


def test_a_test_of_its_own_may_fail_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SESSIONS_VARIABLE, str(tmp_path))
    monkeypatch.setattr("hardening.properties.rare.SHRINK_CPU_S", 0.5)

    @rare(st.builds(crowded, st.just(1), st.just(0)))
    def test_nothing(self: object, history: History, verdicts: tuple[Verdict, ...]) -> None:
        raise AssertionError("the cow is not in the meadow")

    with pytest.raises(ScenarioFailedError, match="the cow is not in the meadow"):
        test_nothing(None)


def test_what_the_scenarios_never_exercised_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardening.properties.rare.CERTAIN_EXAMPLES", 0)

    @rare(st.builds(crowded, st.just(1), st.just(0)), exercises=("C2.2",))
    def test_nothing(self: object, history: History, verdicts: tuple[Verdict, ...]) -> None:
        assert history.events

    with pytest.raises(AssertionError, match=r"no run of \d+ exercised C2.2"):
        test_nothing(None)
