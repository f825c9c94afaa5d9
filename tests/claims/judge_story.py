"""Made-up histories: a story tells events one by one, and a changed copy of it tells what should not be."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from hardening.claims.claims import CLAIMS
from hardening.claims.limits import DOWNSTREAMS
from hardening.claims.verdict import Verdict
from hardening.history.events import Event, Header, History, Recorder, digest_of


def header(settings: Mapping[str, Any] | None = None, **more: Any) -> Header:
    """A header with the given settings; the rest of the figures are the defaults."""
    given = dict(settings or {})
    return Header(
        world="simulated",
        settings=given,
        settings_digest=digest_of(given),
        seed=1,
        commit="unknown",
        canaries=tuple(more.pop("canaries", ())),
        versions={"python": "3"},
        started_at="2026-01-01T00:00:00Z",
        **more,
    )


class Story:
    """Tells a history; time only moves when it is told to."""

    def __init__(self, settings: Mapping[str, Any] | None = None, **more: Any) -> None:
        self.recorder = Recorder(header(settings, **more))
        self.now = 0.0
        self._ids = itertools.count(1)

    def wait(self, seconds: float) -> Story:
        """Let time pass."""
        self.now += seconds
        return self

    def say(self, f: str, ident: str = "", process: str = "service", **value: Any) -> None:
        """A state event, of the service unless said otherwise."""
        self.recorder.add(self.now, process, "state", f, value, ident)

    def probe(self, name: str, **value: Any) -> None:
        """A special observation."""
        self.say("probe", process="harness", probe=name, **value)

    def phase(self, name: str) -> None:
        """A phase of the run begins."""
        self.say("phase", process="harness", phase=name)

    def process(self, state: str, **value: Any) -> None:
        """Something befell the service's process."""
        self.say("process", process="harness", name="service", state=state, pid=1, **value)

    def ask(self, operation: str = "signal", **value: Any) -> str:
        """A client asks; returns the request's id."""
        ident = f"r{next(self._ids)}"
        critical = operation in {"health", "ready", "metrics", "admin"}
        what = {
            "method": "POST" if operation == "alert" else "GET",
            "path": f"/{operation}",
            "operation": operation,
            "user": "ann",
            "priority": "critical" if critical else "normal",
            **value,
        }
        self.recorder.add(self.now, "client", "invoke", "request", what, ident)
        return ident

    def answer(self, ident: str, status: int = 200, latency_s: float = 0.01, **value: Any) -> None:
        """The client gets a whole answer."""
        self.recorder.add(
            self.now, "client", "ok", "request", {"status": status, "latency_s": latency_s, **value}, ident
        )

    def lose(self, ident: str, error: str = "reset", latency_s: float = 0.01) -> None:
        """The client does not learn what became of it."""
        self.recorder.add(
            self.now, "client", "indeterminate", "request", {"error": error, "latency_s": latency_s}, ident
        )

    def serve(self, operation: str = "signal", lasts_s: float = 0.01, **value: Any) -> str:
        """A request that is asked, admitted, served and answered; returns its id."""
        ident = self.ask(operation, **value)
        self.admit(ident, **({"priority": value["priority"]} if "priority" in value else {}))
        self.wait(lasts_s)
        self.say("permit_returned", ident, pool="main", in_flight=0, why="ok")
        self.say("request_done", ident, status=200, duration_s=lasts_s)
        self.answer(ident, 200, lasts_s)
        return ident

    def admit(self, ident: str, in_flight: int = 1, **value: Any) -> None:
        """A permit and a rate slot for a request."""
        self.say("permit_taken", ident, pool="main", in_flight=in_flight)
        self.say("admitted", ident, **{"route": "signal", "priority": "normal", **value})

    def arrive(self, name: str, lasts_s: float | None = 0.01, status: int = 200, **value: Any) -> str:
        """An arrival at a downstream; it ends ``lasts_s`` later without moving the story's time."""
        ident = f"a{next(self._ids)}"
        posts = name in {"alert", "comms"}
        what = {"method": "POST" if posts else "GET", "path": f"/{name}", **value}
        self.recorder.add(self.now, name, "invoke", "arrival", what, ident)
        if lasts_s is not None:
            end = {"status": status, "duration_s": lasts_s}
            self.recorder.add(self.now + lasts_s, name, "ok", "arrival", end, ident)
        return ident

    def call(
        self, name: str = "ticker", outcome: str = "ok", lasts_s: float = 0.01, ident: str = "", **more: Any
    ) -> None:
        """A call ends now that began ``lasts_s`` ago."""
        self.say("call", ident, name=name, outcome=outcome, duration_s=lasts_s, **{"attempts": 1, **more})

    def breaker(self, old: str, new: str, name: str = "ticker", **more: Any) -> None:
        """A breaker moves."""
        self.say("breaker", name=name, old=old, new=new, **more)

    def inject(self, ident: str, kind: str, target: str, **parameters: Any) -> None:
        """A fault begins."""
        value = {"kind": kind, "target": target, "parameters": parameters}
        self.recorder.add(self.now, "harness", "fault", "inject", value, ident)

    def heal(self, ident: str, kind: str, target: str, bit: bool = True) -> None:
        """A fault ends."""
        value = {"kind": kind, "target": target, "bit": bit, "bite": {"hits": int(bit)}, "verified": True}
        self.recorder.add(self.now, "harness", "fault", "heal", value, ident)

    def line(self, text: str, surface: str = "stdout") -> None:
        """Something written or answered."""
        self.recorder.add(self.now, "service", "log", "line", {"surface": surface, "text": text})

    def open_and_close(self, name: str = "ticker", failures: int = 3, open_s: float = 60.0) -> None:
        """A breaker opens after so many failed calls, waits, lets a probe through, and closes."""
        for number in range(failures):
            ident = f"{name}-fail-{number}-{next(self._ids)}"
            self.arrive(name, 0.01, 500, request_id=ident)
            self.wait(0.02)
            if number == failures - 1:
                self.breaker("closed", "open", name, open_s=open_s)
            self.call(name, "failed", 0.02, ident)
        self.wait(open_s)
        self.breaker("open", "half_open", name)
        self.say("breaker_probe", name=name, event="granted")
        ident = f"{name}-probe-{next(self._ids)}"
        self.arrive(name, 0.01, 200, request_id=ident)
        self.wait(0.02)
        self.say("breaker_probe", name=name, event="success")
        self.breaker("half_open", "closed", name)
        self.call(name, "ok", 0.02, ident)

    def history(self) -> History:
        """What was told."""
        return self.recorder.history()


def judged(claim: str, told: Story | History) -> Verdict:
    """The verdict of one claim on a story."""
    return CLAIMS[claim](told.history() if isinstance(told, Story) else told)


Change = Callable[[list[Event]], list[Event]]


def changed(history: History, change: Change) -> History:
    """A copy with its list of events changed (the events may be edited in place, they are copies)."""
    events = [Event(e.t, e.process, e.type, e.f, copy.deepcopy(dict(e.value)), e.id, e.index) for e in history.events]
    return History(history.header, change(events))


def without(f: str, nth: int = 0, **value: Any) -> Change:
    """Drop the ``nth`` event of a name and values."""

    def change(events: list[Event]) -> list[Event]:
        hits = [e for e in events if e.f == f and all(e.value.get(k) == v for k, v in value.items())]
        return [e for e in events if e is not hits[nth]]

    return change


def edited(f: str, nth: int = 0, of: str = "", where: Mapping[str, Any] | None = None, **to: Any) -> Change:
    """Set fields of the ``nth`` event of a name (and type ``of``, and values ``where``)."""

    def change(events: list[Event]) -> list[Event]:
        hits = [e for e in events if e.f == f and (not of or e.type == of)]
        hits = [e for e in hits if all(e.value.get(k) == v for k, v in (where or {}).items())]
        hits[nth].value.update(to)  # type: ignore[attr-defined]
        return events

    return change


def doubled(f: str, nth: int = 0, **value: Any) -> Change:
    """Let the ``nth`` event of a name and values happen twice."""

    def change(events: list[Event]) -> list[Event]:
        hits = [e for e in events if e.f == f and all(e.value.get(k) == v for k, v in value.items())]
        return [*events, Event(hits[nth].t, hits[nth].process, hits[nth].type, f, hits[nth].value, hits[nth].id)]

    return change


def with_events(*more: Event) -> Change:
    """Add events; they are sorted in by time."""
    return lambda events: [*events, *more]


def state(t: float, f: str, ident: str = "", process: str = "service", **value: Any) -> Event:
    """A state event at a time."""
    return Event(t, process, "state", f, value, ident)


def all_clients(story: Story, event: str) -> None:
    """Each of the four clients says the same."""
    for name in DOWNSTREAMS:
        story.say("client", name=name, event=event)
