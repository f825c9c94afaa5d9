"""Runs Locust as a subprocess: alone or as master and workers, against a given host or a live world of our own.

Nothing here imports Locust or ``hardening.load``: importing Locust patches the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.util
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hardening.certificate.provenance import Provenance
from hardening.faults.base import Effect, Fault
from hardening.faults.run_directory import RunDirectory
from hardening.faults.schedule import Schedule, run_schedule
from hardening.history.events import EventType, History, Recorder, read
from hardening.runs.phases import Run
from hardening.runs.probes import probe_metrics, probe_outbox, probe_ready
from hardening.runs.runner import is_steady, observed
from hardening.worlds.live.processes import Child, ProcessError, free_port, until
from hardening.worlds.live.world import LiveWorld
from hardening.worlds.spec import RunContext, WorldSpec

BEGIN_S_MAX = 40.0
END_S_MAX = 120.0
STOP_TIMEOUT_S = 12
CLOSE_S_MAX = 3.0
STEADY_POLL_S = 0.5

USUAL: Mapping[str, tuple[float, float]] = {
    "steady": (5.0, 60.0),
    "burst": (5.0, 30.0),
    "ramp": (5.0, 60.0),
    "spike": (2.5, 45.0),
    "soak": (4.5, 900.0),
    "open": (5.0, 60.0),
}
"""Requests a second and seconds of each shape; a test holds them to those of the generator."""
SUMMARY_FROM_PER_S = 60.0

OnProgress = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What is to be run.

    Attributes:
        plan: the plan as ``hardening.load.plan`` reads it.
        out: directory for everything that is recorded.
        host: where requests go; empty: the world boots a service.
        keys: API keys by name, each ``{"key", "user", "priority"}``; empty for the world's own.
        schedule: faults during the run, in seconds since the first request.
        spec: how the live world is made.
        expect_workers: workers of other machines to wait for (a master's).
        bind_port: port of the master, 0 for a free one.
        code: what runs, where the service is booted here.
    """

    plan: Mapping[str, Any]
    out: Path
    host: str = ""
    keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    spec: WorldSpec = field(default_factory=WorldSpec)
    expect_workers: int = 0
    bind_port: int = 0
    code: Provenance | None = None


def load_plan(shape: str, rate_per_s: float | None, duration_s: float | None, **more: Any) -> dict[str, Any]:
    """The plan as ``hardening.load.plan`` reads it, with the shape's own rate and duration where none is given."""
    usual_per_s, usual_s = USUAL[shape]
    return {
        "shape": shape,
        "rate_per_s": usual_per_s if rate_per_s is None else rate_per_s,
        "duration_s": usual_s if duration_s is None else duration_s,
        "seed": 0,
        "workers": 1,
        **more,
    }


def live_spec(
    plan: Mapping[str, Any], *, settings: Mapping[str, Any] | None = None, sabotage: str = "", commit: str = "unknown"
) -> WorldSpec:
    """The live world of a load run; with many requests the service logs a summary, else logging is what is measured."""
    whole = dict(settings or {})
    if plan["shape"] == "soak" or plan["rate_per_s"] > SUMMARY_FROM_PER_S:
        whole.setdefault("log_events", "summary")
    return WorldSpec(RunContext(plan["seed"], commit, sabotage), f"load-{plan['shape']}", whole)


def locustfile() -> Path:
    """Where the load generator lies."""
    spec = importlib.util.find_spec("hardening.load")
    if spec is None or not spec.submodule_search_locations:
        raise ProcessError("hardening.load is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / "locustfile.py"


def load_history(directory: Path) -> History:
    """The history of a judged load run (``load.jsonl``), for any judge to read.

    Raises:
        OSError, HistoryError: when there is none, or it is damaged.
    """
    return read(directory / "load.jsonl")


class Terse(Recorder):
    """Keeps events and drops log lines: a load run has a hundred thousand of them, and every event is in one."""

    def add(
        self,
        t: float,
        process: str,
        type: EventType,  # noqa: A002 - the format's own word
        f: str,
        value: Mapping[str, Any],
        id: str = "",  # noqa: A002 - the format's own word
    ) -> None:
        """Keep it unless it is a log line."""
        if type != "log":
            Recorder.add(self, t, process, type, f, value, id)


class LocustRun:
    """Locust's processes of one run."""

    def __init__(self, options: LoadOptions, run: RunDirectory, on_progress: OnProgress) -> None:
        self._options = options
        self._run = run
        self._on_progress = on_progress
        self._children: list[Child] = []
        self.state = ""

    async def start(self, host: str, keys: Mapping[str, Mapping[str, str]]) -> None:
        """Start them and wait for the first request.

        Raises:
            ProcessError: when it does not come to that, with the last words.
        """
        plan = {**self._options.plan, "host": host}
        environment = {
            "LOAD_PLAN": json.dumps(plan),
            "LOAD_KEYS": json.dumps({name: dict(one) for name, one in keys.items()}),
            "LOAD_OUT": str(self._options.out),
            "LOAD_PROGRESS": "json",
        }
        workers = int(plan["workers"])
        own_workers = 0 if self._options.expect_workers or workers == 1 else workers
        argv = [*_locust(), "--host", host, "--headless", "--only-summary", "--stop-timeout", str(STOP_TIMEOUT_S)]
        if own_workers or self._options.expect_workers:
            port = self._options.bind_port or free_port()
            argv += ["--master", "--master-bind-port", str(port), "--expect-workers", str(workers)]
        main = Child("locust", argv, self._run, environment, self._line)
        self._children.append(main)
        await main.start()
        for number in range(own_workers):
            worker = [*_locust(), "--worker", "--master-host", "127.0.0.1", "--master-port", str(port)]
            child = Child(f"locust-worker-{number}", worker, self._run, environment)
            self._children.append(child)
            await child.start()
        wait_s = BEGIN_S_MAX if not self._options.expect_workers else 600.0
        if not await until(lambda: bool(self.state) or not main.running(), wait_s) or not self.state:
            raise ProcessError(f"locust did not begin: {' | '.join(main.tail[-3:]) or 'it said nothing'}")

    def _line(self, text: str) -> None:
        if not text.startswith("{"):
            return
        with contextlib.suppress(ValueError):
            record = json.loads(text)
            self.state = str(record.get("state", self.state))
            self._on_progress(record)

    def stop_early(self) -> None:
        """Ask the run to end now; what was recorded is kept."""
        with contextlib.suppress(ProcessLookupError):
            self._children[0].send(signal.SIGTERM)

    async def wait(self) -> None:
        """Wait for its end.

        Raises:
            ProcessError: when it does not end in time, or without having said that the run is over.
        """
        main = self._children[0]
        whole_s = float(self._options.plan["duration_s"]) + END_S_MAX
        try:
            await main.wait(whole_s)
        except TimeoutError:
            raise ProcessError(f"locust did not end within {whole_s:g} s") from None
        if self.state not in {"ended", "aborted"}:
            raise ProcessError(f"locust ended early: {' | '.join(main.tail[-3:])}")

    async def close(self) -> None:
        """End what still runs; the generator gets a moment for its last records."""
        for child in self._children:
            await asyncio.shield(asyncio.ensure_future(child.stop(CLOSE_S_MAX)))


def _locust() -> list[str]:
    return [sys.executable, "-m", "locust", "-f", str(locustfile())]


async def run_remote(options: LoadOptions, on_progress: OnProgress, on_start: Callable[[LocustRun], None]) -> str:
    """Load somebody's own service; returns the problem that cut it short, empty for none."""
    with RunDirectory() as run:
        locust = LocustRun(options, run, on_progress)
        try:
            await locust.start(options.host, options.keys)
            on_start(locust)
            await locust.wait()
        except ProcessError as error:
            return str(error)
        finally:
            await locust.close()
    return ""


async def run_embedded(options: LoadOptions, on_progress: OnProgress, on_start: Callable[[LocustRun], None]) -> str:
    """Boot the live world, load it, break it if asked to; its record goes into ``world.jsonl``."""
    world = LiveWorld(options.spec)
    world.recorder = Terse(world.recorder.header)
    for part in (world.downstreams, world.service, world.client):
        part.recorder = world.recorder
    world.client.keep_bodies = False
    body = _Embedded(world, options, on_progress, on_start)
    run: Run = await observed(world, body.run)
    extra = {**run.history.header.extra, "epoch_s": world.epoch_s, "sabotage": options.spec.context.sabotage}
    if options.code is not None:
        extra["code_digest"] = options.code.code_digest
    header = dataclasses.replace(run.history.header, extra=extra)
    History(header, run.history.events).write(options.out / "world.jsonl")
    return run.problem


class _Embedded:
    """One run in a world of our own."""

    def __init__(
        self,
        world: LiveWorld,
        options: LoadOptions,
        on_progress: OnProgress,
        on_start: Callable[[LocustRun], None],
    ) -> None:
        self.world = world
        self.options = options
        self.on_progress = on_progress
        self.on_start = on_start
        self._recovering: asyncio.Task[None] | None = None

    def phase(self, name: str) -> None:
        self.world.recorder.add(self.world.now(), "harness", "state", "phase", {"phase": name})

    async def run(self) -> None:
        async with self.world as world:
            assert world.service.address is not None
            host = "http://{}:{}".format(*world.service.address)
            ring = world.secrets.keys.items()
            keys = {name: {"key": one.key, "user": one.user, "priority": one.priority} for name, one in ring}
            locust = LocustRun(self.options, world.run, self.on_progress)
            await world.redis.watch_disk()
            self.phase("steady")
            breaking: asyncio.Task[None] | None = None
            try:
                await locust.start(host, keys)
                self.on_start(locust)
                if self.options.schedule.faults:
                    breaking = asyncio.create_task(self._break(), name="faults")
                await locust.wait()
                if breaking is not None:
                    await breaking
            finally:
                for task in filter(None, (breaking, self._recovering)):
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                await locust.close()
            await self._probe_disk()
            if world.service.child.running():
                await probe_outbox(world)
                await probe_metrics(world)
            await world.settle()
            self.phase("shutdown")

    async def _probe_disk(self) -> None:
        """Note when the store waited for the disk of this machine, which is no doing of the service."""
        waits = await self.world.redis.disk_waits()
        ago_s = time.time() - self.world.now()
        spans = [[begin - ago_s, end - ago_s] for begin, end, _ in waits]
        value = {"probe": "disk_waits", "spans": spans, "longest_ms": max((ms for _, _, ms in waits), default=0)}
        self.world.recorder.add(self.world.now(), "harness", "state", "probe", value)

    async def _break(self) -> None:
        """Hold the schedule; once all is healed, note when the service is well again."""
        schedule = self.options.schedule
        await asyncio.sleep(min((timed.at_s for timed in schedule.faults), default=0.0))
        self.phase("faults")
        first_s = min(timed.at_s for timed in schedule.faults)
        shifted = Schedule.of(dataclasses.replace(one, at_s=one.at_s - first_s) for one in schedule.faults)
        await run_schedule(shifted, self.world, observe=self._note)
        self.phase("healed")
        self._recovering = asyncio.create_task(self._recover(), name="recovery")

    async def _recover(self) -> None:
        """Note when the service is well again; the judge decides whether that was soon enough."""
        steady = False
        while not steady:
            await asyncio.sleep(STEADY_POLL_S)
            steady = is_steady(await probe_ready(self.world))
        self.phase("quiet")

    def _note(self, what: str, fault_id: str, fault: Fault, effect: Effect | None, _: Mapping[str, Any]) -> None:
        value: dict[str, Any] = {"kind": fault.kind, "target": fault.target}
        if effect is None:
            value["parameters"] = fault.to_json()
        else:
            value |= {"bit": effect.bit, "bite": dict(effect.counts), "verified": True}
        self.world.recorder.add(self.world.now(), "harness", "fault", what, value, fault_id)
        self.on_progress({"state": "fault", "what": what, "kind": fault.kind, "target": fault.target})


def worker_argv(host: str, master_host: str, master_port: int) -> Sequence[str]:
    """The command line of a worker that works for a master elsewhere."""
    return [*_locust(), "--worker", "--host", host, "--master-host", master_host, "--master-port", str(master_port)]
