"""Locust's users: six personas that keep a pace, and one that starts requests on a schedule whatever happens.

A user of Locust waits for its answer before it asks again; while the service is slow, it asks less, and the
percentiles look better than they were for anybody else ("coordinated omission"). So each persona has a plan of when
it *meant* to start, drawn from the seed; a latency is measured from there. ``OpenArrivals`` does not wait at all.
"""

from __future__ import annotations

import itertools
import random
import time

import gevent
from gevent.pool import Pool
from locust import User, task

from hardening.load.generator import Generator
from hardening.load.mix import COLD_SYMBOLS, PERSONAS, SOAK_SYMBOLS, Drawer, stream

GENERATOR: list[Generator] = []
"""The generator of this process, once Locust has made its environment."""
IN_THE_AIR_MAX = 20_000
LAST_ANSWERS_S = 12.0


def generator() -> Generator:
    """The generator of this process."""
    return GENERATOR[0]


class Paced(User):
    """A persona: draws an operation, sends it at its time, waits for the answer, and so on."""

    abstract = True
    persona = ""
    fixed_pace_s = 0.0
    _numbers = itertools.count()

    def on_start(self) -> None:
        """Draw everything from the seed and the user's number."""
        own = generator()
        number = f"{own.worker}.{next(Paced._numbers)}"
        self._rng = random.Random(f"{self.persona}-{own.plan.seed}-{number}")
        cold = SOAK_SYMBOLS if own.plan.shape == "soak" else COLD_SYMBOLS
        self._drawer = Drawer(self._rng, f"{own.plan.tag}{own.plan.seed}.{number}", cold)
        self._pace_s = self.fixed_pace_s or own.plan.pace_s
        self._next_s = time.monotonic() + self._rng.uniform(0, self._pace_s)

    @task
    def ask(self) -> None:
        """One operation, at its time."""
        own = generator()
        if (wait_s := self._next_s - time.monotonic()) > 0:
            gevent.sleep(wait_s)
        intended_s = self._next_s
        self._next_s += self._rng.uniform(0.5, 1.5) * self._pace_s
        operation = self._drawer.next(self.persona)
        if own.stopping or not own.can(operation):
            return
        own.send(operation, self.persona, intended_s)


class Reader(Paced):
    """Asks for symbols that everybody asks for."""

    persona = "reader"
    weight = PERSONAS["reader"].weight


class Explorer(Paced):
    """Asks for symbols that nobody asked for before."""

    persona = "explorer"
    weight = PERSONAS["explorer"].weight


class Batcher(Paced):
    """Asks for several at once, with low priority."""

    persona = "batcher"
    weight = PERSONAS["batcher"].weight


class Alerter(Paced):
    """Posts alerts, and now and then one twice."""

    persona = "alerter"
    weight = PERSONAS["alerter"].weight


class Rude(Paced):
    """Hangs up, has the wrong key, sends what cannot be read."""

    persona = "rude"
    weight = PERSONAS["rude"].weight


class Operator(Paced):
    """Looks after the service."""

    persona = "operator"
    fixed_count = 1
    fixed_pace_s = 1.0


class OpenArrivals(User):
    """Starts each request at its time on a schedule; answers are waited for elsewhere."""

    def on_start(self) -> None:
        """Requests in the air are waited for at the end."""
        self._air = Pool(IN_THE_AIR_MAX)

    @task
    def offer(self) -> None:
        """The whole schedule of this worker, once."""
        own = generator()
        plan = own.plan
        rng = random.Random(f"open-{plan.seed}-{own.worker}")
        began_s = time.monotonic()
        for persona, operation in stream(plan.seed, own.worker, plan.profile.arrivals(rng, 1 / plan.workers), plan.tag):
            intended_s = began_s + operation.at_s
            wait_s = intended_s - time.monotonic()
            if wait_s > 0:
                gevent.sleep(wait_s)
            if own.stopping:
                break
            if own.can(operation):
                self._air.spawn(own.send, operation, persona, intended_s)
        while not own.stopping:  # Locust would begin the task again
            gevent.sleep(0.1)

    def on_stop(self) -> None:
        """Answers that are still due are waited for: a request that was sent is a request that counts."""
        self._air.join(timeout=LAST_ANSWERS_S)
