"""A world that is acted: a session fails when the parts that its failure needs are all there."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from hardening.catalogue.scenario import Reload, Scenario
from hardening.catalogue.scenario_json import SessionError
from hardening.faults.schedule import Schedule
from hardening.history.events import Header, Recorder
from hardening.history.workload import Workload, signal
from hardening.sessions.runners import Tried
from hardening.sessions.session import Judged, Session

FAULTS = ("redis", "ticker", "user", "alert", "comms")


def session_of(
    *, requests: int = 40, reloads: int = 3, world: str = "live", failed: str = "C2.1", name: str = "night"
) -> Session:
    """Five cut links, requests for ``S0`` ..., reloads; and a claim that failed."""
    faults = [{"at_s": 2.0 + i, "for_s": 1.0, "fault": {"kind": "net_down", "target": t}} for i, t in enumerate(FAULTS)]
    scenario = Scenario(
        name="acted",
        summary="five links are cut",
        steady=Workload.of(signal(i * 0.1, "CALM") for i in range(10)),
        workload=Workload.of(signal(3.0 + i * 0.1, f"S{i}") for i in range(requests)),
        schedule=Schedule.from_json(faults),
        reloads=tuple(Reload(2.5 + i, {"cache": {"ttl_s": 10.0 + i}}) for i in range(reloads)),
    )
    verdicts = (Judged(failed, "FAIL", "a permit leaked", ({"index": 1, "t": 4.0},)), Judged("C4.1", "PASS"))
    plan = {"format": "p", "decisions": [["draw", i] for i in range(6)]} if world == "simulated" else None
    return Session(name, world, scenario, 7, plan=plan, verdicts=verdicts, created_at="2026-11-25T00:00:00+00:00")  # type: ignore[arg-type]


def asks(session: Session, symbol: str) -> bool:
    return any(f"/{symbol}?" in one.path for one in session.scenario.workload.operations)


def cuts(session: Session, link: str) -> bool:
    return any(timed.fault.target == link for timed in session.scenario.schedule.faults)


@dataclass
class Acted:
    """A runner. ``fails`` decides; ``flaky`` is the share of failing runs in which it does not show."""

    fails: Callable[[Session], bool]
    claim: str = "C2.1"
    flaky: float = 0.0
    digest: str = ""
    problem: str = ""
    refuses: bool = False
    seen: list[Session] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def run(self, session: Session) -> Tried:
        if self.refuses:
            raise SessionError("fault.target", "hosts", "what the world has")
        self.seen.append(session)
        failed = self.fails(session) and self.rng.random() >= self.flaky
        recorder = Recorder(Header(session.world, {}, "", session.seed, "", (), {"python": "3"}, ""))
        recorder.add(1.0, "harness", "state", "phase", {"phase": "faults"})
        asked = {"method": "GET", "path": "/", "operation": "signal", "user": "alice", "priority": "normal"}
        for number in range(4):
            recorder.add(1.1, "client", "invoke", "request", asked, f"c{number}")
            value = {"status": 200, "latency_s": 0.01 * (number + len(self.seen))}
            recorder.add(1.2 + number, "client", "ok", "request", value, f"c{number}")
        event = {"index": 1, "t": 3.0 + len(self.seen)}
        bad = (Judged(self.claim, "FAIL", "a permit leaked", (event,)),) if failed else ()
        return Tried((*bad, Judged("C4.1", "PASS")), recorder.history(), self.problem, self.digest, session.plan)
