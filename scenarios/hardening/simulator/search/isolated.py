"""One run in a forked process: what it leaves in modules, classes and caches is gone with the process.

In: a function that runs a schedule. Out: its outcome without what cannot be pickled: an exception keeps its type where
that can be pickled, and is an ``IsolatedError`` with type and text otherwise.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from typing import Any

from hardening.simulator.core.choices import Choices
from hardening.simulator.core.errors import RuleBrokenError, SimulatorError
from hardening.simulator.core.plan import Decision, Plan
from hardening.simulator.core.trace import Trace
from hardening.simulator.search.run import Outcome


class IsolatedError(SimulatorError):
    """A program failed in its process with an exception that cannot be handed on; the text is type and message."""


class ProcessDiedError(SimulatorError):
    """The process of a run ended without an outcome."""


def isolated(run: Callable[[], tuple[Outcome, Trace | None]]) -> tuple[Outcome, Trace | None]:
    """Run a schedule in a child process.

    Raises:
        RuleBrokenError: as the run raised it.
        ProcessDiedError: when the process died.
    """
    reader, writer = os.pipe()
    child = REAL_FORK()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(_packed(run))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if not data:
        raise ProcessDiedError(f"the process of a run ended with status {os.waitstatus_to_exitcode(status)}")
    return _unpacked(pickle.loads(data))  # noqa: S301 - it comes from our own child


REAL_FORK = os.fork


def _packed(run: Callable[[], tuple[Outcome, Trace | None]]) -> bytes:
    try:
        outcome, trace = run()
    except BaseException as error:  # noqa: BLE001 - raised again in the parent
        return pickle.dumps({"raised": _portable(error)})
    return pickle.dumps(
        {
            "error": None if outcome.error is None else _portable(outcome.error),
            "key": outcome.key,
            "steps": outcome.steps,
            "virtual_s": outcome.virtual_s,
            "decisions": [decision.to_json() for decision in outcome.decisions],
            "drawn": outcome.choices.drawn,
            "leftovers": outcome.leftovers,
            "lost": outcome.lost,
            "events": None if trace is None else trace.events,
        }
    )


def _portable(error: BaseException) -> BaseException:
    if isinstance(error, RuleBrokenError):
        return error
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        if type(copy) is type(error) and str(copy) == str(error):
            where = traceback.extract_tb(error.__traceback__)
            copy.add_note(f"raised at {where[-1].filename}:{where[-1].lineno}" if where else "")
            return copy
    except Exception:  # noqa: BLE001, S110 - told as text below
        pass
    return IsolatedError(f"{type(error).__name__}: {error}")


def _unpacked(data: dict[str, Any]) -> tuple[Outcome, Trace | None]:
    if "raised" in data:
        raise data["raised"]
    choices = Choices(Plan())
    decisions = [Decision.from_json(item) for item in data["decisions"]]
    choices.entropy = next((int(d.value) for d in decisions if d.kind == "entropy"), 0)
    choices.made = [(d.kind, d.who, d.index, d.value) for d in decisions if d.kind != "entropy"]
    choices.drawn = data["drawn"]
    outcome = Outcome(data["error"], data["steps"], data["virtual_s"], choices, data["leftovers"], data["lost"])
    outcome.known_key = data["key"]
    if data["events"] is None:
        return outcome, None
    trace = Trace()
    trace.events = data["events"]
    return outcome, trace
