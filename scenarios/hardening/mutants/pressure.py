"""Pressure that is not felt, or felt by the wrong ones."""

from __future__ import annotations

from typing import Any

from hardening.mutants.patching import put
from signal_service.admission.backpressure import Cause, Level, LevelMachine
from signal_service.admission.budgets import Permit
from signal_service.admission.middleware import Gate
from signal_service.app import Service
from signal_service.context import RequestContext
from signal_service.problems import Problem


def _deaf_to(unheard: Cause) -> None:
    update = LevelMachine.update

    def deaf(self: LevelMachine, utilisation: float, cause: Cause) -> Level:
        return update(self, 0.0 if cause == unheard else utilisation, cause)

    put(LevelMachine, "update", deaf)


def memory_not_felt() -> None:
    """The process may fill its memory: nobody is shed for it."""
    _deaf_to("memory")


def processor_not_felt() -> None:
    """The process may burn its whole core."""
    _deaf_to("cpu")


def lag_not_felt() -> None:
    """The loop may stand still."""
    _deaf_to("loop_lag")


def moderate_loads_afresh() -> None:
    """At moderate the ticker is asked as ever: the one who wrote the routes forgot the flag."""

    async def candles(self: Service, symbol: str, timeframe: str) -> Any:
        return await self.history.get(symbol, timeframe)

    put(Service, "candles", candles)


def critical_held_to_the_rate() -> None:
    """Who watches the service is refused as soon as the others have used the rate up."""
    admit = Gate._admit

    def strict(self: Gate, context: RequestContext) -> Permit:
        wait_s = self._window.wait_s(self._monotonic())
        if wait_s > 0:
            self._reject("rate", context, 429, wait_s)
            raise Problem("rate", retry_after_s=wait_s)
        return admit(self, context)

    put(Gate, "_admit", strict)


def busy_costs_a_slot() -> None:
    """The rate slot is taken before the permit is asked for, and nobody gives it back."""
    admit = Gate._admit

    def greedy(self: Gate, context: RequestContext) -> Permit:
        try:
            return admit(self, context)
        except Problem as problem:
            if problem.kind == "busy" and context.priority != "critical":
                self._window.record(self._monotonic())
            raise

    put(Gate, "_admit", greedy)


def shed_costs_a_slot() -> None:
    """Work that is shed was counted first."""
    shed = Gate._shed

    def counted(self: Gate, context: RequestContext) -> None:
        try:
            shed(self, context)
        except Problem:
            now = self._monotonic()
            if self._window.wait_s(now) == 0:
                self._window.record(now)
            raise

    put(Gate, "_shed", counted)
