"""A small sound service under a random workload, in made-up time: everything it tells is legal by construction.

It keeps permits, a rate window, levels, a cache with one load per key, a breaker with retries, and an outbox. It is
written from the claims alone, so that a judge that fails it is wrong.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from judge_story import header

from hardening.history.events import History, Recorder

Step = Generator["float | Bell", None, None]
KEYS = ("AAA", "BBB", "CCC")
SETTINGS: dict[str, Any] = {
    "budgets": {"in_flight": 4, "critical_reserve": 1, "accepted_per_window": 12, "window_s": 10.0, "request_s": 5.0},
    "downstreams": {"ticker": {"breaker": {"failures": 3, "open_s": 6.0, "probe_lease_s": 5.0}, "retries": 2}},
    "cache": {"ttl_s": 8.0, "stale_s": 20.0},
    "outbox": {"capacity": 5, "cap_s": 1.0, "claim_idle_s": 1.0},
}


@dataclass(slots=True, eq=False)
class Bell:
    """Something to wait for; what it rang with is ``value``."""

    waiting: list[Step] = field(default_factory=list)
    rung: bool = False
    value: Any = None


@dataclass(slots=True)
class Switch:
    """The breaker of the ticker."""

    state: str = "closed"
    row: int = 0
    until_s: float = 0.0
    probing: bool = False
    generation: int = 0


class Model:
    """Runs processes (generators that yield seconds or a bell) in made-up time and records what they tell."""

    def __init__(self, seed: int, requests: int, sick: float, impatient: float) -> None:
        self.rng = random.Random(seed)
        self.sick, self.impatient, self.share = sick, impatient, 0.0
        self.now = 0.0
        self.recorder = Recorder(header(SETTINGS))
        self._queue: list[tuple[float, int, Step]] = []
        self._order = itertools.count()
        self._ids = itertools.count(1)
        self.window: deque[float] = deque()
        self.held = 0
        self.switch = Switch()
        self.calls: deque[float] = deque()
        self.retries: deque[float] = deque()
        self.loads: dict[str, Bell] = {}
        self.entries: dict[str, float] = {}
        self.alerts: dict[str, tuple[str, str]] = {}
        for _ in range(requests):
            self._spawn(self._request(), self.rng.uniform(0, 40))
        self._spawn(self._sickness(), 0.0)

    def run(self) -> History:
        """Play it to its end."""
        while self._queue:
            self.now, _, step = heapq.heappop(self._queue)
            self._advance(step)
        self.now += 5.0
        self._tell("harness", "state", "phase", {"phase": "shutdown"})
        return self.recorder.history()

    def _advance(self, step: Step) -> None:
        wanted = next(step, None)
        if isinstance(wanted, Bell):
            if wanted.rung:
                self._spawn(step, self.now)
            else:
                wanted.waiting.append(step)
        elif wanted is not None:
            self._spawn(step, self.now + wanted)

    def _spawn(self, step: Step, at_s: float) -> None:
        heapq.heappush(self._queue, (at_s, next(self._order), step))

    def _ring(self, bell: Bell, value: Any) -> None:
        bell.rung, bell.value = True, value
        for step in bell.waiting:
            self._spawn(step, self.now)

    def _tell(self, process: str, kind: Any, f: str, value: dict[str, Any], ident: str = "") -> None:
        self.recorder.add(self.now, process, kind, f, value, ident)

    def _say(self, f: str, ident: str = "", **value: Any) -> None:
        self._tell("service", "state", f, value, ident)

    def _sickness(self) -> Step:
        """The ticker is ill for a while, and said to be."""
        if not self.sick:
            return
        yield self.rng.uniform(5, 15)
        fault = {"kind": "http_error", "target": "ticker", "parameters": {}}
        self._tell("harness", "fault", "inject", fault, "f0")
        self.share = self.sick
        yield self.rng.uniform(1, 8)
        self.share = 0.0
        heal = {"kind": "http_error", "target": "ticker", "bit": True, "bite": {"answers": 1}, "verified": True}
        self._tell("harness", "fault", "heal", heal, "f0")

    # --- a request -----------------------------------------------------------------------------------------------

    def _request(self) -> Step:
        ident, began = f"r{next(self._ids)}", self.now
        alert = self.rng.random() < 0.2
        key, digest = self.rng.choice(("k1", "k2", "k3", "k4")), self.rng.choice(("b1", "b2"))
        asked = {"method": "GET", "path": "/v2/signals", "operation": "signal", "user": "ann", "priority": "normal"}
        if alert:
            asked.update(operation="alert", method="POST", idempotency_key=key, body_digest=digest)
        self._tell("client", "invoke", "request", asked, ident)
        yield 0.001
        while self.window and self.window[0] + 10.0 <= self.now:
            self.window.popleft()
        if len(self.window) >= 12:
            wait_s = self.window[0] + 10.0 - self.now
            self._say("rejected", ident, reason="rate", status=429, retry_after_s=round(wait_s, 3))
            self._answer(ident, began, 429, retry_after_s=float(int(wait_s) + 1))
            return
        if self.held >= 4:
            self._say("rejected", ident, reason="permit", status=503, retry_after_s=1.0)
            self._answer(ident, began, 503, retry_after_s=1.0)
            return
        self.held += 1
        self.window.append(self.now)
        self._say("permit_taken", ident, pool="main", in_flight=self.held)
        self._say("admitted", ident, route="signal", priority="normal", generation=1)
        yield from self._served(ident, began, (key, digest) if alert else None)

    def _served(self, ident: str, began: float, alert: tuple[str, str] | None) -> Step:
        status, more, why = 200, {}, "ok"
        if alert is not None:
            yield self.rng.uniform(0.001, 0.05)
            status, more = self._accept(ident, *alert)
        elif self.rng.random() < self.impatient:
            # Goes away while its load runs; the load goes on for those who joined it.
            self._cached(ident, self.rng.choice(KEYS))
            yield self.rng.uniform(0.001, 0.02)
            status, why = 499, "disconnect"
        else:
            bell = self._cached(ident, self.rng.choice(KEYS))
            if bell is not None:
                yield bell
                status = 200 if bell.value else 503
        why = "error" if status == 503 else why
        self.held -= 1
        self._say("permit_returned", ident, pool="main", in_flight=self.held, why=why)
        self._say("request_done", ident, status=status, duration_s=round(self.now - began, 6), generation=1)
        if status == 499:
            lost = {"error": "disconnected", "latency_s": self.now - began}
            self._tell("client", "indeterminate", "request", lost, ident)
        else:
            self._answer(ident, began, status, **more)

    def _answer(self, ident: str, began: float, status: int, **more: Any) -> None:
        value = {"status": status, "latency_s": round(self.now - began, 6), **more}
        self._tell("client", "ok", "request", value, ident)

    # --- cache and ticker ----------------------------------------------------------------------------------------

    def _cached(self, ident: str, key: str) -> Bell | None:
        """A bell that rings when the load is done, or None when the entry is fresh."""
        written = self.entries.get(key)
        if written is not None and self.now - written < 8.0:
            self._say("cache", ident, key=key, event="hit", layer="memory", age_s=self.now - written)
            return None
        if key in self.loads:
            self._say("cache", ident, key=key, event="join")
            return self.loads[key]
        self._say("cache", ident, key=key, event="miss" if written is None else "expired")
        bell = self.loads[key] = Bell()
        self._say("cache", ident, key=key, event="locks", count=len(self.loads), calls=len(self.loads))
        self._say("cache", ident, key=key, event="load", load_id=ident)
        self._spawn(self._load(ident, key, bell), self.now)
        return bell

    def _load(self, ident: str, key: str, bell: Bell) -> Step:
        done: list[bool] = []
        yield from self._call(ident, key, done)
        good = done[0]
        self._say("cache", ident, key=key, event="loaded" if good else "load_failed", load_id=ident)
        if good:
            self.entries[key] = self.now
            self._say("cache", ident, key=key, event="write", load_id=ident, ttl_s=8.0)
        del self.loads[key]
        self._say("cache", ident, key=key, event="locks", count=len(self.loads), calls=len(self.loads))
        self._ring(bell, good)

    def _call(self, ident: str, key: str, done: list[bool]) -> Step:
        began, switch = self.now, self.switch
        probe = self._may_pass()
        if probe is None:
            self._say("call", ident, name="ticker", outcome="refused", attempts=0, duration_s=0.0)
            done.append(False)
            return
        generation, attempt, good = switch.generation, 0, False
        self.calls.append(self.now)
        while True:
            attempt += 1
            self._say("attempt", ident, name="ticker", attempt=attempt, wait_s=0.0)
            yield from self._attempt(ident, key, attempt)
            good = self.rng.random() >= self.share
            self._arrived(good)
            if good or attempt > 2 or switch.generation != generation or not self._retry_allowed():
                break
        self._settle(good, probe, generation)
        duration_s = self.now - began
        outcome = "ok" if good else "failed"
        self._say("call", ident, name="ticker", outcome=outcome, attempts=attempt, duration_s=duration_s)
        done.append(good)

    def _attempt(self, ident: str, key: str, attempt: int) -> Step:
        self._arrival = f"a{next(self._ids)}"
        lasts_s = self.rng.uniform(0.001, 0.1)
        what = {"method": "GET", "path": f"/candles/{key}", "query": "limit=1", "request_id": ident, "attempt": attempt}
        arrival = self._arrival
        self._tell("ticker", "invoke", "arrival", what, arrival)
        yield lasts_s
        self._arrival, self._lasted_s = arrival, lasts_s

    def _arrived(self, good: bool) -> None:
        end = {"status": 200 if good else 503, "duration_s": self._lasted_s}
        self._tell("ticker", "ok", "arrival", end, self._arrival)

    def _retry_allowed(self) -> bool:
        for times in (self.calls, self.retries):
            while times and times[0] <= self.now - 10.0:
                times.popleft()
        if len(self.retries) + 1 > max(3, 0.2 * len(self.calls)):
            return False
        self.retries.append(self.now)
        return True

    # --- breaker -------------------------------------------------------------------------------------------------

    def _may_pass(self) -> bool | None:
        """True for a probe, False for an ordinary call, None when it is refused."""
        switch = self.switch
        if switch.state == "open" and self.now >= switch.until_s:
            self._move("half_open")
        if switch.state == "closed":
            return False
        if switch.state == "open" or switch.probing:
            return None
        switch.probing = True
        self._say("breaker_probe", name="ticker", event="granted")
        return True

    def _settle(self, good: bool, probe: bool, generation: int) -> None:
        switch = self.switch
        if generation != switch.generation:
            return
        if probe:
            switch.probing = False
            self._say("breaker_probe", name="ticker", event="success" if good else "failure")
            self._move("closed" if good else "open")
            return
        switch.row = 0 if good else switch.row + 1
        if switch.row >= 3:
            self._move("open")

    def _move(self, new: str) -> None:
        switch = self.switch
        old, switch.state, switch.row = switch.state, new, 0
        switch.generation += 1
        if new == "open":
            switch.until_s = self.now + 6.0
        more = {"open_s": 6.0} if new == "open" else {}
        self._say("breaker", name="ticker", old=old, new=new, **more)

    # --- outbox --------------------------------------------------------------------------------------------------

    def _accept(self, ident: str, key: str, digest: str) -> tuple[int, dict[str, Any]]:
        known = self.alerts.get(key)
        if known is not None and known[0] != digest:
            self._say("outbox", ident, event="conflict", key=key)
            return 422, {}
        if known is not None:
            self._say("outbox", ident, event="replayed", key=key, alert_id=known[1])
            return 202, {"delivery_id": known[1]}
        alert = f"d{next(self._ids)}"
        self.alerts[key] = (digest, alert)
        self._say("outbox", ident, event="accepted", key=key, alert_id=alert, depth=1)
        for receiver in ("alert", "comms"):
            self._spawn(self._deliver(receiver, alert), self.now + self.rng.uniform(0.01, 1.0))
        return 202, {"delivery_id": alert}

    def _deliver(self, receiver: str, alert: str) -> Step:
        for again in range(1 + int(self.rng.random() < 0.2)):
            ident = f"a{next(self._ids)}"
            what = {"method": "POST", "path": "/alerts", "idempotency_key": alert, "request_id": f"w{ident}"}
            self._tell(receiver, "invoke", "arrival", what, ident)
            yield 0.01
            self._tell(receiver, "ok", "arrival", {"status": 201, "duration_s": 0.01}, ident)
            self._say("call", f"w{ident}", name=receiver, outcome="ok", attempts=1, duration_s=0.01, key=alert)
            yield 0.5 * again
        self._say("outbox", event="delivered", alert_id=alert, receiver=receiver)
