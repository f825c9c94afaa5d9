"""The service as a process of the live world: configured, launched, listened to, signalled, measured."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from hardening.faults.run_directory import RunDirectory
from hardening.history.events import EVENT_TABLE, Recorder
from hardening.worlds.agent.client import agent_socket
from hardening.worlds.live.processes import Child, ProcessError, until

START_S_MAX = 75.0


@dataclass(slots=True)
class ServiceProcess:
    """Implements the ``Process`` target of ``hardening.faults.targets`` for the service.

    ``settings`` is the whole configuration (a JSON object); ``epoch_s`` the monotonic moment at which the run
    began. What the service writes becomes events of the history: its own structured events, and every line.
    """

    run: RunDirectory
    settings: dict[str, Any]
    recorder: Recorder
    now: Callable[[], float]
    epoch_s: float
    sabotage: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    name: str = "service"
    address: tuple[str, int] | None = None
    echo: Callable[[str], None] | None = None
    _child: Child | None = None
    _sampled: psutil.Process | None = None
    _end_recorded: bool = False
    _noticing: asyncio.Task[None] | None = None
    _refused: set[str] = field(default_factory=set)

    @property
    def config(self) -> Path:
        """The configuration file it watches."""
        return self.run.path / f"{self.name}.json"

    def write_config(self, settings: Mapping[str, Any] | str) -> None:
        """Replace the configuration file in one step; text is written as it is (to be refused)."""
        text = settings if isinstance(settings, str) else json.dumps(settings, indent=1)
        fresh = self.config.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.config)

    async def launch(self) -> None:
        """Start the process without waiting for it to serve."""
        self.write_config(self.settings)
        argv = [
            sys.executable,
            "-m",
            "hardening.worlds.live.launcher",
            "--agent",
            str(agent_socket(self.run, self.name)),
        ]
        argv += ["--sabotage", self.sabotage] if self.sabotage else []
        argv += ["--", "--config", str(self.config)]
        self.address = None
        self._child = Child(self.name, argv, self.run, self.environment, self._line)
        await self._child.start()
        self._end_recorded = False
        self._state("started")
        self._noticing = asyncio.create_task(self._notice_end(self._child), name="service-end")
        self._sampled = psutil.Process(self._child.pid)
        with contextlib.suppress(psutil.Error):
            self._sampled.cpu_percent()

    async def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            ProcessError: with its last words, when it ends first or takes too long.
        """
        await self.launch()
        child = self.child
        await until(lambda: self.address is not None or not child.running(), START_S_MAX)
        if self.address is None:
            if not child.running():
                self.exited()
            raise ProcessError(f"the service did not come up: {' | '.join(child.tail[-3:]) or 'it said nothing'}")
        self._state("ready")

    @property
    def child(self) -> Child:
        """The process; raises ProcessError when it was never started."""
        if self._child is None:
            raise ProcessError("the service was never started")
        return self._child

    def _state(self, state: str, **more: Any) -> None:
        value = {"name": self.name, "state": state, "pid": self.child.pid, **more}
        self.recorder.add(self.now(), "harness", "state", "process", value)

    def exited(self) -> None:
        """Write its end down, once it has ended, and only once."""
        if not self._end_recorded:
            self._end_recorded = True
            self._state("exited", exit_code=self.child.exit_code)

    async def _notice_end(self, child: Child) -> None:
        """An end that nobody asked for is written down when it happens."""
        await child.wait(None)
        if child is self._child:
            self.exited()

    def _line(self, text: str) -> None:
        if self.echo is not None:
            self.echo(text)
        self.recorder.add(self.now(), "service", "log", "line", {"surface": "stdout", "text": text})
        if not text.startswith("{"):
            return
        with contextlib.suppress(ValueError):
            self._event(json.loads(text))

    def _event(self, record: Mapping[str, Any]) -> None:
        name, at_s = record.get("event"), record.get("mono_s")
        needed = EVENT_TABLE.get(("state", str(name)))
        if needed is None or not isinstance(at_s, int | float):
            return
        value = record.get("fields")
        if not isinstance(value, dict):
            return
        if needed - value.keys():
            self._refused.add(f"{name} lacks {', '.join(sorted(needed - value.keys()))}")
            return
        self.recorder.add(at_s - self.epoch_s, "service", "state", str(name), value, str(record.get("id") or ""))
        if name == "startup" and value.get("phase") == "listening":
            self.address = (str(value["host"]), int(value["port"]))

    def malformed(self) -> list[str]:
        """Events of the service that lacked fields; there should be none."""
        return sorted(self._refused)

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs or when it was never started."""
        return self._child.exit_code if self._child is not None else None

    @property
    def last_words(self) -> list[str]:
        """The last lines it wrote."""
        return list(self._child.tail) if self._child is not None else []

    def running(self) -> bool:
        """True while it runs or is stopped."""
        return self._child is not None and self._child.running()

    def computed_s(self) -> float:
        """Processor time of all its threads; 0 when it has ended."""
        with contextlib.suppress(psutil.Error):
            if self._sampled is not None:
                user_s, system_s, *_ = self._sampled.cpu_times()
                return float(user_s + system_s)
        return 0.0

    async def destroy(self) -> None:
        """End it by force, whatever it does."""
        if self._child is not None:
            if self._child.running():
                await self._child.stop(1, signal.SIGKILL)
            await self._child.stop(1)
            self.exited()

    async def signal(self, number: int) -> None:
        """Send a signal; raises ProcessLookupError when it is not running."""
        self.child.send(number)
        self._state("signalled", signal=signal.Signals(number).name.removeprefix("SIG"))
        if number == signal.SIGKILL:
            await self.child.wait(5)
            self.exited()
        elif number == signal.SIGSTOP:
            await until(self.child.stopped, 2)
        elif number == signal.SIGCONT:
            await until(lambda: not self.child.stopped(), 2)

    async def alive(self) -> bool:
        """True while it runs or is stopped."""
        return self.child.running()

    async def stopped(self) -> bool:
        """True while it is under SIGSTOP."""
        return self.child.stopped()

    async def wait_exit(self, timeout_s: float) -> int:
        """Wait for its end and write it down; raises TimeoutError."""
        code = await self.child.wait(timeout_s)
        self.exited()
        return code

    async def stop(self) -> int | None:
        """Ask it to end by SIGTERM and wait; returns its exit code."""
        if self._child is None:
            return None
        if self.child.running():
            if self.child.stopped():
                self.child.send(signal.SIGCONT)
            await self.signal(signal.SIGTERM)
            await self.child.stop(15, signal.SIGCONT)
            self.exited()
        else:
            await self.child.stop(1)
            self.exited()
        if self._noticing is not None:
            self._noticing.cancel()
            await asyncio.gather(self._noticing, return_exceptions=True)
        return self.child.exit_code

    def _accepted(self) -> int:
        """Connections of clients that the service holds open now."""
        assert self._sampled is not None
        port = self.address[1] if self.address else 0
        mine = (c for c in self._sampled.net_connections("tcp") if c.laddr and c.laddr.port == port)
        return sum(c.status == psutil.CONN_ESTABLISHED for c in mine)

    def sample(self) -> None:
        """Record RSS, CPU and descriptors as they look from outside; silent when it has ended."""
        if self._sampled is None or not self.child.running():
            return
        with contextlib.suppress(psutil.Error):
            with self._sampled.oneshot():
                value = {
                    "rss_bytes": self._sampled.memory_info().rss,
                    "cpu_share": round(self._sampled.cpu_percent() / 100, 4),
                    "fds": self._sampled.num_fds(),
                    "threads": self._sampled.num_threads(),
                    "connections": self._accepted(),
                }
            self.recorder.add(self.now(), "harness", "state", "sample", value)
