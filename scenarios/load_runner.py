"""Runs Locust against a service, the embedded one or somebody's, and lets what was recorded be judged.

Locust is a child process, as are its workers: importing it would patch this one. The judge is one as well, since only
``loadtests`` knows its formats. What goes between is files: a spec, raw records, the world's history.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.base import FaultError, HealError
from faults.run_directory import RunDirectory
from faults.schedule import Schedule, run_schedule
from scenarios.judge.history import History
from scenarios.judge.verdict import Exit
from scenarios.judge.workload import signal as signal_operation
from scenarios.phases import Phases
from scenarios.scenario import Scenario
from scenarios.worlds.live import LiveSpec, LiveWorld
from scenarios.worlds.probes import probe_metrics, probe_outbox
from scenarios.worlds.processes import Child, ProcessError, free_port, until

SPEC_FILE, WORLD_FILE, OBEYED_FILE = "spec.json", "world.jsonl", "obeyed.json"
SPEC_VARIABLE, KEYS_VARIABLE = "HARDENING_LOAD_SPEC", "HARDENING_LOAD_KEYS"
STARTS_S_MAX = 30.0
STOP_S_MAX = 20.0
DELIVERED_S_MAX = 15.0
POLL_S = 0.25
OBEY_S_MAX = 61.0

JUDGE = "loadtests.judge_command"


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """What the command line asks for.

    Attributes:
        spec: the JSON object of ``loadtests.spec.LoadSpec``.
        out: directory of everything.
        host: somebody's service; empty: the embedded one.
        keys: API keys by name, for somebody's service.
        workers: Locust workers beside a master; 0: one process.
        join: address of a master elsewhere, as whose worker to run.
        listen: as a master, wait for so many workers from elsewhere.
        schedule: faults during the run.
        budgets: TOML laid over the default budgets.
        sabotage: breaks the embedded service first.
        settings: laid over the embedded service's.
    """

    spec: Mapping[str, Any]
    out: Path
    host: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    workers: int = 0
    join: str = ""
    listen: int = 0
    schedule: Schedule = field(default_factory=Schedule)
    budgets: Path | None = None
    sabotage: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    as_json: bool = False


class LoadProblemError(RuntimeError):
    """The run did not come about; the message says why, with Locust's last words."""


OnTime = Callable[[float, str], None]
"""Told seconds since the start, and what happens now."""


async def run_load(order: LoadOrder, on_time: OnTime, stop: asyncio.Event) -> Exit:
    """Run it, judge it, print the verdicts; ``stop`` ends it early, whatever is broken then heals.

    Raises:
        LoadProblemError: when Locust or the world did not come up.
    """
    order.out.mkdir(parents=True, exist_ok=True)
    for left in ("requests-*.jsonl", WORLD_FILE, "aborted.txt", OBEYED_FILE):
        for path in order.out.glob(left):
            path.unlink()
    (order.out / SPEC_FILE).write_text(json.dumps({**order.spec, "out": str(order.out)}, indent=1) + "\n", "utf-8")
    if order.host:
        with RunDirectory() as directory:
            await _Locust(order, directory, order.host, order.keys).run(on_time, stop, None)
    else:
        await _embedded(order, on_time, stop)
    return await judge_load(order.out, order.budgets, as_json=order.as_json)


async def _embedded(order: LoadOrder, on_time: OnTime, stop: asyncio.Event) -> None:
    seed = int(order.spec["seed"])
    on_time(0.0, "booting the embedded service")
    world = LiveWorld(LiveSpec(settings=order.settings, seed=seed, sabotage=order.sabotage, scenario="load"))
    try:
        async with world:
            assert world.service.address is not None
            host, port = world.service.address
            keys = {name: world.secrets.keys[name].key for name in ("demo", "high", "low", "operator")}
            breaking = _Breaking(world, order.schedule)
            await _Locust(order, world.run, f"http://{host}:{port}", keys).run(on_time, stop, breaking)
            on_time(float(order.spec["duration_s"]), "waiting for the last alerts")
            if not stop.is_set():
                await _obey(world, order.out)
            await _delivered(world)
            await probe_metrics(world)
            await world.service.stop()
            await world.settle()
    except (ProcessError, HealError, FaultError) as error:
        raise LoadProblemError(str(error)) from error
    history = world.recorder.history()
    header = dataclasses.replace(history.header, extra={**history.header.extra, "epoch_mono_s": world.epoch_s})
    History(header, history.events).write(order.out / WORLD_FILE)


async def _obey(world: LiveWorld, out: Path) -> None:
    """Ask once, alone; when refused for rate, wait as long as the answer says and ask again. What came is written."""
    asked = signal_operation(0.0, "AAPL")
    first = await world.client.send(asked)
    found: dict[str, Any] = {"first": first[0] if first else 0, "wait_s": 0.0, "second": 0}
    if first is not None and first[0] == 429:
        said = first[1].get("retry-after", "")
        found["wait_s"] = min(float(said) if said.isdigit() else 0.0, OBEY_S_MAX)
        await asyncio.sleep(found["wait_s"])
        second = await world.client.send(asked)
        found["second"] = second[0] if second else 0
    (out / OBEYED_FILE).write_text(json.dumps(found) + "\n", encoding="utf-8")


async def _delivered(world: LiveWorld) -> None:
    """Wait until no alert is undelivered, or long enough."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DELIVERED_S_MAX
    while loop.time() < end:
        await probe_outbox(world)
        probes = world.recorder.history().states("probe", probe="outbox")
        if probes and not probes[-1].value["depth"]:
            return
        await asyncio.sleep(POLL_S)


class _Breaking:
    """The fault schedule beside the load; it begins when the load does."""

    def __init__(self, world: LiveWorld, schedule: Schedule) -> None:
        self._world = world
        self._schedule = schedule
        self._phases = Phases(world, Scenario("load", "load", schedule=schedule), lambda _phase: None)

    async def run(self) -> None:
        """All faults; healed when this ends or is cancelled."""
        if self._schedule.faults:
            await run_schedule(self._schedule, self._world, observe=self._phases.fault)


class _Locust:
    """Locust's processes: one, or a master with its workers."""

    def __init__(self, order: LoadOrder, run: RunDirectory, host: str, keys: Mapping[str, str]) -> None:
        self._order = order
        self._host = host
        self._environment = {
            SPEC_VARIABLE: str((order.out / SPEC_FILE).resolve()),
            KEYS_VARIABLE: json.dumps(dict(keys)),
        }
        self._children = [Child(name, argv, run, self._environment) for name, argv in self._commands()]

    def _commands(self) -> list[tuple[str, list[str]]]:
        order = self._order
        base = [sys.executable, "-m", "locust", "-f", _locustfile(), "--skip-log-setup"]
        main = [*base, "--headless", "--host", self._host, "--only-summary", "--stop-timeout", "6"]
        if order.join:
            host, _, port = order.join.partition(":")
            return [("locust-worker", [*base, "--worker", "--master-host", host, "--master-port", port or "5557"])]
        if order.listen:
            return [("locust-master", [*main, "--master", "--expect-workers", str(order.listen)])]
        if not order.workers:
            return [("locust", main)]
        port = str(free_port())
        at = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
        master = ("locust-master", [*main, "--master", *at, "--expect-workers", str(order.workers)])
        worker = [*base, "--worker", "--master-host", "127.0.0.1", "--master-port", port]
        return [master, *((f"locust-worker-{i}", worker) for i in range(order.workers))]

    async def run(self, on_time: OnTime, stop: asyncio.Event, breaking: _Breaking | None) -> None:
        """From the start of the processes to their end.

        Raises:
            LoadProblemError: when the main one fails.
        """
        main = self._children[0]
        tasks: list[asyncio.Task[Any]] = []
        try:
            for child in self._children:
                await child.start()
            await until(lambda: self._began() or not main.running() or stop.is_set(), STARTS_S_MAX)
            if breaking is not None and main.running():
                tasks.append(asyncio.create_task(breaking.run(), name="faults"))
            await self._watch(main, on_time, stop)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for child in self._children:
                await child.stop(STOP_S_MAX, signal.SIGTERM)
        for error in outcomes:
            if isinstance(error, Exception):
                raise LoadProblemError(str(error)) from error
        if not self._began() and not stop.is_set() and not self._order.join:
            raise LoadProblemError(f"Locust did not get going: {' | '.join(main.tail[-3:]) or 'it said nothing'}")

    def _began(self) -> bool:
        return any(path.stat().st_size for path in self._order.out.glob("requests-*.jsonl"))

    async def _watch(self, main: Child, on_time: OnTime, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while main.running():
            on_time(loop.time() - began_s, "asking")
            if stop.is_set():
                on_time(loop.time() - began_s, "stopping")
                (self._order.out / "aborted.txt").write_text("stopped by hand\n", encoding="utf-8")
                return
            await asyncio.sleep(POLL_S)


def _locustfile() -> str:
    spec = importlib.util.find_spec("loadtests.locustfile")
    assert spec is not None
    assert spec.origin is not None
    return spec.origin


async def judge_load(folder: Path, budgets: Path | None, *, as_json: bool) -> Exit:
    """Judge a directory in a process of its own, whose output is ours."""
    argv = [sys.executable, "-m", JUDGE, str(folder), *(["--budgets", str(budgets)] if budgets else [])]
    process = await asyncio.create_subprocess_exec(*argv, *(["--json"] if as_json else []))
    code = await process.wait()
    return Exit(code) if code in set(Exit) else Exit.HARNESS
