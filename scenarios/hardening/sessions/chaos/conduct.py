"""Conducts a session: runs its plan, watched, shows it, judges it, and stores what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Exit, Outcome, Verdict
from hardening.claims.views import faults
from hardening.faults.schedule import Schedule
from hardening.history.events import History
from hardening.runs.phases import Run
from hardening.runs.runner import run_live
from hardening.runs.staging import run_staging
from hardening.sessions.chaos.keyboard import stop_key
from hardening.sessions.chaos.session_plan import SessionPlan, session_name
from hardening.sessions.chaos.watch import Figures, Watch
from hardening.sessions.session import Session, Target
from hardening.sessions.store import Store, Stored
from hardening.worlds.spec import RunContext
from hardening.worlds.staging.world import without_password

JUDGE_EVERY_S = 3.0
JUDGE_SHARE_MAX = 0.05
"""Judging in between may take so much of the time, and no more: the load comes from this very process."""

SETTLE_S = 0.05
"""After a request ended, the service's own lines about it may come so much later."""

KEY_STOP = "the key q"


@dataclass(slots=True)
class Facts:
    """What is known beside the events.

    Attributes:
        name: of the session.
        world: where it runs, for people.
        duration_s: of the phase with the faults.
        schedule: the plan.
        verdicts: of the claims, as of the last look.
        keys: how to stop it.
    """

    name: str
    world: str
    duration_s: float
    schedule: Schedule
    verdicts: Sequence[Verdict] = ()
    keys: str = "Ctrl-C heals and stops"


class View(Protocol):
    """Shows a session; ``show`` runs until it is cancelled."""

    async def show(self) -> None:
        """Draw, again and again."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a session."""

    stored: Stored
    verdicts: tuple[Verdict, ...]
    exit_code: Exit
    why: str


async def conduct(
    plan: SessionPlan, watch: Watch, facts: Facts, view: View, store: Store, *, commit: str, at: datetime
) -> Done:
    """Run it to its end, however it ends.

    Raises:
        StagingError: when the staging stack cannot be used as described.
    """
    with stop_key(lambda: watch.stop(KEY_STOP)) as has_key:
        facts.keys = "q or Ctrl-C heals and stops" if has_key else facts.keys
        run = await _beside(_run(plan, watch, commit), [view.show(), _judge_so_far(watch, facts)])
    verdicts = tuple(judge_all({plan.scenario.name: run.history}))
    facts.verdicts = verdicts
    session = _session(plan, watch, run, verdicts, commit, at)
    stored = store.save(session, run.history)
    code, why = conclude(stored.session, run.history)
    return Done(stored, verdicts, code, why)


def _run(plan: SessionPlan, watch: Watch, commit: str) -> Coroutine[Any, Any, Run]:
    if plan.staging is not None:
        return run_staging(plan.scenario, plan.staging, guard=watch)
    return run_live(plan.scenario, RunContext(plan.seed, commit, plan.sabotage), guard=watch)


async def _beside(work: Coroutine[Any, Any, Run], others: Sequence[Coroutine[Any, Any, None]]) -> Run:
    """Await ``work`` while the others run; they end with it, and whatever they raised is raised."""
    tasks = [asyncio.create_task(other) for other in others]
    try:
        return await work
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


async def _judge_so_far(watch: Watch, facts: Facts, clock: Callable[[], float] = time.monotonic) -> None:
    pause_s = JUDGE_EVERY_S
    while True:
        await asyncio.sleep(pause_s)
        if watch.recorder is None:
            continue
        began = clock()
        facts.verdicts = await asyncio.to_thread(_judge, watch) or facts.verdicts
        pause_s = max(JUDGE_EVERY_S, (clock() - began) / JUDGE_SHARE_MAX)


def _judge(watch: Watch) -> tuple[Verdict, ...]:
    assert watch.recorder is not None
    at_rest = so_far(watch.recorder.history())
    return tuple(judge_all({"so far": at_rest})) if at_rest is not None else ()


def so_far(history: History) -> History | None:
    """The history up to its last moment at which nothing was under way; ``None`` when there was none.

    Cut anywhere else, a request on its way would look like one that never ended, and a permit like one that leaked.
    """
    under_way: set[str] = set()
    since_s, cut_s = 0.0, 0.0
    for event in history.events:
        if not under_way and event.t - since_s > 2 * SETTLE_S:
            cut_s = event.t - SETTLE_S
        if event.f == "request":
            if event.type == "invoke":
                under_way.add(event.id)
            else:
                under_way.discard(event.id)
            since_s = event.t
    events = [event for event in history.events if event.t <= cut_s]
    return History(history.header, events) if events else None


def _session(
    plan: SessionPlan, watch: Watch, run: Run, verdicts: Sequence[Verdict], commit: str, at: datetime
) -> Session:
    staging = plan.staging
    target = None
    if staging is not None:
        target = Target(staging.url, staging.toxiproxy, without_password(staging.redis), plan.key_env)
    bites = {f"{broken.inject.id} {broken.kind} {broken.target}": broken.effective for broken in faults(run.history)}
    figures = {phase: asdict(Figures.of(rows)) for phase, rows in watch.answered.items()}
    return Session(
        session_name(plan.scenario.name, plan.seed, at),
        "target" if staging else "live",
        plan.scenario,
        plan.seed,
        settings=run.history.header.settings,
        sabotage=plan.sabotage,
        commit=commit,
        versions=run.history.header.versions,
        problem=run.problem,
        aborted=watch.aborted,
        figures={"phases": figures, "bites": bites},
        created_at=at.isoformat(timespec="seconds"),
        target=target,
    ).with_verdicts(verdicts)


def conclude(session: Session, history: History) -> tuple[Exit, str]:
    """The exit code, and the sentence that explains it.

    A broken claim comes first; then trouble, aborts, and faults that did nothing: none of these is a success.
    """
    failures = [judged for judged in session.verdicts if judged.verdict == Outcome.FAIL]
    if failures:
        return Exit.FAILED, "; ".join(f"{judged.claim}: {judged.reason}" for judged in failures)
    if session.problem:
        return Exit.HARNESS, session.problem
    if session.aborted.startswith("no steady state"):
        return Exit.UNKNOWN, session.aborted
    if session.aborted.startswith(("error rate", "latency")):
        return Exit.FAILED, f"cut short: {session.aborted}"
    if session.aborted and session.aborted != KEY_STOP:
        return Exit.HARNESS, f"stopped by {session.aborted}; everything is healed"
    worse = _not_steady_again(session)
    if worse:
        return Exit.FAILED, worse
    bites = [broken.effective for broken in faults(history)]
    if not any(bites):
        why = "no fault had an effect" if bites else "nothing was broken"
        return Exit.UNKNOWN, f"{why}: nothing was shown"
    held = sum(judged.verdict == Outcome.PASS for judged in session.verdicts)
    said = f"{sum(bites)} of {len(bites)} faults had an effect, {held} claims held, none failed"
    return Exit.OK, f"{said} (stopped by {session.aborted})" if session.aborted else said


STEADY_ERRORS_MORE_MAX = 0.1


def _not_steady_again(session: Session) -> str:
    """From outside: are clients served after the last heal as they were before the first fault?

    In the live world C6.4 judges that by more; of a staging stack nobody else does.
    """
    phases = session.figures.get("phases", {})
    before, after = phases.get("steady"), phases.get("quiet")
    if session.world != "target" or not before or not after:
        return ""
    more = after["error_share"] - before["error_share"]
    if more > STEADY_ERRORS_MORE_MAX:
        return f"the steady state is not back: {after['error_share']:.0%} errors, before {before['error_share']:.0%}"
    return ""
