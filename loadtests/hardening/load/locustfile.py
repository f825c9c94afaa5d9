"""The file that Locust runs: ``locust -f "$(hardening load --print-locustfile)" --host http://127.0.0.1:8080``.

All input comes by environment variables, the same for ``hardening load`` and for a person at Locust's own
command line: ``LOAD_SHAPE``, ``LOAD_RATE``, ``LOAD_DURATION``, ``LOAD_SEED`` (else the web UI drives the users),
``LOAD_API_KEY``, ``LOAD_OPERATOR_KEY``, ``LOAD_OUT`` (where the raw records go). Then ``hardening load judge DIR``.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import gevent
from locust import LoadTestShape, events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from hardening.load import users
from hardening.load.generator import MESSAGE, Generator, plan_from
from hardening.load.observer import Observer

try:
    _PLAN = plan_from(os.environ)
except ValueError as error:
    sys.exit(f"load: {error}")

if _PLAN is not None and _PLAN.is_open:
    from hardening.load.users import OpenArrivals  # noqa: F401 - Locust finds its users by looking
else:
    from hardening.load.users import Alerter, Batcher, Explorer, Operator, Rude, Reader  # noqa: F401, I001


class Shape(LoadTestShape):
    """Users over time, from the plan; over when its time is over."""

    abstract = True  # else Locust would use it even where the web UI is to drive the users

    def tick(self) -> tuple[int, float] | None:
        """How many users now, and how fast to get there."""
        plan = users.generator().plan
        t_s = self.get_run_time()
        if t_s >= plan.duration_s:
            return None
        if plan.is_open:
            return plan.workers, 100.0
        return plan.users_at(t_s) + 1, 1000.0


def _end(own: Generator, observer: Observer | None) -> None:
    """The load is over: last answers are in; look at rest, let the lone client ask, close the files."""
    if observer is not None:
        observer.stop()
        own.say({"state": "resting"})
        observer.rest()
        if own.plan.lone_client and own.shaped and not own.stopped_why and not own.asked_to_stop:
            observer.lone_client(lambda text: own.say({"state": "resting", "why": text}))
            observer.look()
    own.end()
    own.say({"state": "ended", **own.tally.to_json()})


@events.init.add_listener
def _init(environment: Environment, **_: Any) -> None:
    own = Generator(environment)
    users.GENERATOR[:] = [own]
    observers: list[Observer] = []
    if own.shaped and not isinstance(environment.runner, WorkerRunner):
        environment.shape_class = Shape()
        environment.shape_class.runner = environment.runner
    if isinstance(environment.runner, MasterRunner):
        environment.runner.register_message(MESSAGE, lambda msg, **_: own.receive(msg.data))

    def started(**_: Any) -> None:
        own.start()
        observers.clear()
        if own.collects:
            observers.append(Observer(own))
            observers[0].start()

    def stopping(**_: Any) -> None:
        own.stopping = True

    def stopped(**_: Any) -> None:
        if isinstance(environment.runner, MasterRunner):
            gevent.sleep(1.0)  # the workers' last rows are under way
        _end(own, observers[0] if observers else None)

    if own.shaped and own.collects:
        # Locust begins to heed this signal only after a run with a shape: until then it would die of it.
        gevent.signal_handler(signal.SIGTERM, own.stop_early)
    environment.events.test_start.add_listener(started)
    environment.events.test_stopping.add_listener(stopping)
    environment.events.test_stop.add_listener(stopped)
