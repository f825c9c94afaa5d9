"""A failing certificate and its histories, small, made by the project's own judge and certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardening.certificate.statement import Facts, HistoryFile, Story, fault_table, statement
from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import Event, Header, History, digest_of

HOSTILE = "</script></style></svg><img src=x onerror=document.title='owned'>\"'><script>document.title='owned'</script>"
LANES = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 60" width="300" height="60">'
    '<text x="4" y="20">service</text><circle cx="60" cy="40" r="4" fill="#b3261e"/></svg>'
)
REPLAY = "hardening replay sessions/burst.session.json"
WHEN = "2026-11-25T17:00:00+00:00"


def event(t: float, type_: str, f: str, id: str = "", process: str = "client", /, **value: Any) -> Event:  # noqa: A002
    return Event(t, process, type_, f, value, id)


def header(scenario: str) -> Header:
    return Header("live", {}, digest_of({}), 7, "unknown", (), {}, WHEN, scenario)


def request(number: int, t: float, latency_s: float, status: int) -> list[Event]:
    asked = {"method": "GET", "path": "/v1/signal", "operation": "signal", "user": "alice", "priority": "normal"}
    return [
        event(t, "invoke", "request", f"c{number}", **asked),
        event(t + latency_s, "ok", "request", f"c{number}", status=status, latency_s=latency_s),
    ]


def outage(text: str = "ticker", requests: int = 40) -> History:
    """Two faults (one without effect), a level, a breaker, served and refused requests and one that failed."""
    events = [event(0.5, "state", "phase", "", "harness", phase="steady")]
    events.append(event(1.0, "state", "phase", "", "harness", phase="faults"))
    for number in range(requests):
        events += request(
            number, 0.5 + 3 * number / requests, 0.004 + number % 7 * 0.01, 503 if number % 5 == 4 else 200
        )
    events += request(requests, 1.4, 0.3, 500)
    fault = {"kind": "http_fault", "target": text}
    events.append(event(1.2, "fault", "inject", "f0", "harness", **fault, parameters={}))
    events.append(
        event(2.2, "fault", "heal", "f0", "harness", **fault, bit=True, bite={"answers_hurt": 6}, verified=True)
    )
    dud = {"kind": "net_down", "target": "user"}
    events.append(event(2.5, "fault", "inject", "f1", "harness", **dud, parameters={}))
    events.append(event(3.0, "fault", "heal", "f1", "harness", **dud, bit=False, bite={}, verified=True))
    for t, old, new in ((1.5, "closed", "open"), (2.4, "open", "half_open"), (2.6, "half_open", "closed")):
        events.append(event(t, "state", "breaker", "", "service", name=text, old=old, new=new))
    events.append(event(1.6, "state", "level", "", "service", old="none", new="heavy", utilisation=0.99))
    return History(header("outage"), events)


def burst() -> History:
    return History(
        header("burst"), [found for number in range(5) for found in request(number, 0.2 * number, 0.002, 200)]
    )


def sample(text: str = "ticker") -> tuple[dict[str, Any], Mapping[str, History]]:
    """The certificate and its histories; ``text`` stands wherever a run could put a text of its own."""
    histories = {"outage": outage(text), "burst": burst()}
    seen = (
        event(0.2, "state", "admitted", "c1", "service", route=text, priority="normal"),
        event(0.9, "state", "admitted", "c4", "service", route="signal", priority=text),
    )
    verdicts = [
        Verdict("C1.1", Outcome.PASS, 8, {"outage": {"breakers": 4}}, (), "", "outage"),
        Verdict("C1.2", Outcome.PASS, 3, {"walks": 3}, (), "", "outage"),
        Verdict("C2.2", Outcome.FAIL, 2, {}, tuple(e.cite() for e in seen), f"301 admissions {text}", "burst"),
        Verdict("C5.1", Outcome.UNKNOWN, 0, {}, (), "nothing was loaded twice"),
    ]
    rows = [
        {
            "name": "no_rate_limit",
            "component": "C2",
            "detected": True,
            "by": ["C2.2", "C2.1"],
            "schedules": 1,
            "seconds": 2.0,
        },
        {"name": text, "component": "C1", "detected": False, "by": [], "schedules": 1, "seconds": 2.0},
    ]
    facts = Facts(
        seed=7,
        commit="unknown",
        code_digest="sha256:" + "ab" * 32,
        release="0.1.0",
        settings={},
        environment={"python": "3.11.7", "os": text, "cpus": 2, "libraries": {"httpx": "0.28.1"}, "run_url": ""},
        histories=[HistoryFile.of(n, f"histories/{n}.jsonl", h.dump().encode(), h) for n, h in histories.items()],
        started_at=WHEN,
        finished_at=WHEN,
        problems=[text],
        sabotages=rows,
        stories=[Story("C2.2", "burst", f"301 of 300 were admitted\n{text}", LANES, REPLAY)],
        faults=fault_table(histories),
    )
    return statement(verdicts, facts), histories
