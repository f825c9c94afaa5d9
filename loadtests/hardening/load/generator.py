"""One load generator per Locust process: its plan, its keys, its log, and its lines of progress.

In comes the environment (``LOAD_PLAN``, ``LOAD_KEYS`` ...), out come rows and records in files and, where asked for,
progress as JSON lines on stdout; a plan that cannot be is a ``ValueError``. Alone it writes its rows to a file; as a
worker it sends them to the master, which writes one file per worker, so that all raw latencies are in one place
whatever the machines.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from hardening.history.workload import Operation
from hardening.load.plan import Plan
from hardening.load.recording import Log, Tally, clock_record
from hardening.load.sending import Ids, Key, Lane, keys_from_json

MESSAGE = "load-rows"
FLUSH_S = 0.5
KEY_NAMES = ("demo", "high", "low", "reader")
OPERATOR_NAMES = ("operator", "scraper")
LAG_EVERY_S = 0.05
LAG_S_MIN = 0.02
"""A timer that comes this much too late says that the generator had no time: what it measured then is its own."""


def plan_from(environ: Mapping[str, str]) -> Plan | None:
    """The plan of this process: ``LOAD_PLAN``, else what ``LOAD_SHAPE`` and its companions say, else none.

    Raises:
        ValueError: for a plan that cannot be.
    """
    if "LOAD_PLAN" in environ:
        return Plan.from_json(json.loads(environ["LOAD_PLAN"]))
    if "LOAD_SHAPE" not in environ:
        return None
    rate, duration = environ.get("LOAD_RATE"), environ.get("LOAD_DURATION")
    return Plan.of(
        environ["LOAD_SHAPE"],
        float(rate) if rate else None,
        float(duration.removesuffix("s")) if duration else None,
        seed=int(environ.get("LOAD_SEED", "0")),
        workers=int(environ.get("LOAD_WORKERS", "1")),
        tag=f"{int(time.time())}-",
        lone_client=environ.get("LOAD_LONE_CLIENT", "1") != "0",
    )


def keys_from(environ: Mapping[str, str]) -> dict[str, Key]:
    """The key ring: ``LOAD_KEYS``, else ``LOAD_API_KEY`` for every user and ``LOAD_OPERATOR_KEY`` for operators."""
    if "LOAD_KEYS" in environ:
        return keys_from_json(json.loads(environ["LOAD_KEYS"]))
    found: dict[str, Key] = {}
    if environ.get("LOAD_API_KEY"):
        found |= {name: Key(environ["LOAD_API_KEY"], "") for name in KEY_NAMES}
    if environ.get("LOAD_OPERATOR_KEY"):
        found |= {name: Key(environ["LOAD_OPERATOR_KEY"], "") for name in OPERATOR_NAMES}
    return found


class Generator:
    """Everything the users of one process share."""

    def __init__(self, environment: Environment, environ: Mapping[str, str] = os.environ) -> None:
        self.environment = environment
        self.plan = plan_from(environ) or Plan(pace_s=float(environ.get("LOAD_PACE", "2")))
        self.shaped = plan_from(environ) is not None
        self.keys = keys_from(environ)
        self.out = Path(environ.get("LOAD_OUT", "load-results"))
        self.tally = Tally()
        self.began_s = 0.0
        self.stopping = False
        self.stopped_why = ""
        self.asked_to_stop = False
        self._rows: list[list[Any]] = []
        self._lags: list[tuple[float, float]] = []
        self._logs: dict[str, Log] = {}
        self._speaks = environ.get("LOAD_PROGRESS") == "json"
        self._greenlets: list[gevent.Greenlet] = []
        self._lanes: deque[Lane] = deque()

    @property
    def runner(self) -> Any:
        """Locust's runner."""
        return self.environment.runner

    @property
    def worker(self) -> int:
        """This process's number among the workers; 0 when it is alone."""
        return max(0, int(getattr(self.runner, "worker_index", 0) or 0))

    @property
    def collects(self) -> bool:
        """True for the process in which the records of all come together."""
        return not isinstance(self.runner, WorkerRunner)

    def now_s(self) -> float:
        """Seconds since the test began."""
        return time.monotonic() - self.began_s

    def start(self) -> None:
        """A test begins."""
        self.began_s = time.monotonic()
        self.stopping, self.stopped_why, self.tally = False, "", Tally()
        self.asked_to_stop = False
        self.ids = Ids(f"L{self.worker}-{os.getpid()}-")
        if self.collects:
            self.out.mkdir(parents=True, exist_ok=True)
            for old in [*self.out.glob("requests-*.jsonl"), *self.out.glob("observed*.jsonl")]:
                old.unlink()
            plan = self.plan.with_host(self.plan.host or _without_credentials(self.environment.host or ""))
            began = {"plan": plan.to_json(), "began_s": self.began_s, "clock": clock_record()}
            (self.out / "plan.json").write_text(json.dumps(began, indent=1) + "\n", encoding="utf-8")
        self.say({"state": "began", "mono_s": self.began_s})
        self._lags = []
        self._greenlets = [gevent.spawn(self._carry), gevent.spawn(self._watch_lag)]

    def end(self) -> None:
        """The test is over: nothing more is written after this."""
        self.stopping = True
        gevent.killall(self._greenlets)
        self.carry()

    def send(self, operation: Operation, persona: str, intended_s: float) -> None:
        """Send an operation over a connection of the pool, wait for its end, take its row.

        The pool holds as many connections as there were requests at once: users who think hold none, for the
        service counts connections too.
        """
        lane = self._lanes.pop() if self._lanes else self.lane()
        try:
            self.take(lane.send(operation, self.key_of(operation), self.ids.next(), persona, intended_s))
        finally:
            self._lanes.append(lane)

    def lane(self) -> Lane:
        """A connection of one's own."""
        return Lane(self.environment.host or "", self.environment.events)

    def take(self, row: list[Any]) -> None:
        """A request has ended."""
        self._rows.append(row)

    def key_of(self, operation: Operation) -> Key | None:
        """The key to send with an operation; ``None`` where it needs none or there is none."""
        return self.keys.get(operation.key)

    def can(self, operation: Operation) -> bool:
        """False for an operation whose key we were not given."""
        return not operation.key or operation.key in self.keys

    def _carry(self) -> None:
        while True:
            gevent.sleep(FLUSH_S)
            self.carry()

    def _watch_lag(self) -> None:
        while True:
            due_s = time.monotonic() + LAG_EVERY_S
            gevent.sleep(LAG_EVERY_S)
            now_s = time.monotonic()
            if now_s - due_s >= LAG_S_MIN:
                self._lags.append((due_s, now_s))

    def carry(self) -> None:
        """Take the rows of late, and when we ourselves were late, to where they belong."""
        rows, self._rows = self._rows, []
        lags, self._lags = self._lags, []
        if isinstance(self.runner, WorkerRunner):
            if rows or lags:
                data = {"clock": clock_record(), "worker": self.worker, "rows": json.dumps(rows), "lags": lags}
                data["plan"] = self.plan.to_json()
                self.runner.send_message(MESSAGE, data)
            return
        if not isinstance(self.runner, MasterRunner):
            self.write("requests-0", rows)
            self._late(self.worker, lags)
        now_s = time.monotonic()
        self.say({"state": "running", "t_s": round(now_s - self.began_s, 1), **self.tally.to_json()})
        share = self.tally.error_share(now_s)
        if share > self.plan.abort_error_share and not self.stopping:
            self.abort(f"{share:.0%} of the last ten seconds' requests were errors")

    def receive(self, data: Mapping[str, Any]) -> None:
        """Rows of a worker arrive at the master."""
        self.write(f"requests-{data['worker']}", json.loads(data["rows"]), data["clock"])
        self._late(int(data["worker"]), data["lags"], data["clock"])
        if (said := self.plan.differs_from(data["plan"])) and not self.stopping:
            self.abort(f"worker {data['worker']} has another plan: {said}")

    def _late(self, worker: int, lags: Sequence[Sequence[float]], clock: dict[str, Any] | None = None) -> None:
        if lags:
            record = {"type": "lag", "worker": worker, "spans": [list(one) for one in lags]}
            self.observe(f"observed-lag-{worker}", record, clock)

    def write(self, name: str, rows: list[list[Any]], clock: dict[str, Any] | None = None) -> None:
        """Append rows to a file of the run."""
        self.tally.take(rows)
        log = self._logs.get(name)
        if log is None or log.path.parent != self.out:
            log = self._logs[name] = Log(self.out / f"{name}.jsonl")
        log.rows += rows
        log.flush(clock)

    def observe(self, log_name: str, record: Mapping[str, Any], clock: dict[str, Any] | None = None) -> None:
        """Write down what was seen of the service, or of a generator, itself."""
        log = self._logs.setdefault(log_name, Log(self.out / f"{log_name}.jsonl"))
        log.add(dict(record))
        log.flush(clock)

    def abort(self, why: str) -> None:
        """End the test early, and say why."""
        self.stopping, self.stopped_why = True, why
        self.observe("observed", {"type": "aborted", "t_s": time.monotonic(), "why": why})
        self.say({"state": "aborted", "why": why})
        if self.runner is not None:
            gevent.spawn(self.runner.quit)

    def stop_early(self) -> None:
        """End the test now, because a person asked for it; requests under way are still answered.

        Asked twice, it ends without looking back.
        """
        if self.asked_to_stop:
            os._exit(1)
        self.asked_to_stop = self.stopping = True
        self.observe("observed", {"type": "stopped", "t_s": time.monotonic(), "why": "a person asked for it"})
        gevent.spawn(self.runner.quit)

    def say(self, record: Mapping[str, Any]) -> None:
        """A line of progress for the parent process."""
        if self._speaks and self.collects:
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()


def _without_credentials(host: str) -> str:
    scheme, mark, rest = host.rpartition("://")
    return scheme + mark + rest.rpartition("@")[2]
