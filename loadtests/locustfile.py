"""Locust's entry: ``locust -f loadtests/locustfile.py --host URL`` with its web UI, or run by ``hardening load``.

With a spec in the environment the shape drives the users; without one Locust's own settings do. Keys come from
``HARDENING_API_KEY`` and ``HARDENING_OPERATOR_KEY``; records go to ``HARDENING_LOAD_OUT`` (``load``).
"""

from __future__ import annotations

import os
from typing import Any

from locust import LoadTestShape, events

from loadtests import shapes, users
from loadtests.spec import SPEC_VARIABLE
from loadtests.users import Alerter, Arrivals, Batcher, Explorer, Mixed, Operator, Reader, Rude

__all__ = ["Alerter", "Arrivals", "Batcher", "Explorer", "Mixed", "Operator", "Reader", "Rude"]

SPAWN_PER_S = 1000.0


if os.environ.get(SPEC_VARIABLE):

    class BudgetShape(LoadTestShape):
        """The spec's shape: so many users that their pace makes its rate, and the operator."""

        use_common_options = False

        def tick(self) -> tuple[int, float, list[Any]] | None:
            """Users now; None ends the run."""
            spec, t = users.SPEC, self.get_run_time()
            if t > spec.duration_s:
                return None
            if shapes.SHAPES[spec.shape].open:
                return spec.workers + 1, SPAWN_PER_S, [Arrivals, Operator]
            count = shapes.users_at(spec, t, shapes.pace_s(spec))
            return count + 1, SPAWN_PER_S, [Mixed, Operator]


@events.quitting.add_listener
def _close(**_: Any) -> None:
    for record in users.RECORDINGS:
        record.close()


@events.test_stop.add_listener
def _flush(**_: Any) -> None:
    for record in users.RECORDINGS:
        record.flush()
