"""The service as a process of the live world: configured, launched, listened to, signalled, measured."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from hardening.faults.run_directory import RunDirectory
from hardening.history.events import Recorder
from hardening.worlds.agent.client import agent_socket
from hardening.worlds.live.processes import Child, ProcessError, until
from hardening.worlds.service_handle import ServiceHandle
from hardening.worlds.spec import WorldSpec


class ServiceProcess(ServiceHandle):
    """See the module.

    Args:
        run: owns the process.
        recorder: takes what it writes.
        epoch_s: the monotonic moment at which the run began.
        spec: sabotage, environment, and the taker of its lines.
    """

    def __init__(self, run: RunDirectory, recorder: Recorder, epoch_s: float, spec: WorldSpec) -> None:
        super().__init__(recorder)
        self._run = run
        self._epoch_s = epoch_s
        self._spec = spec
        self._child: Child | None = None
        self._sampled: psutil.Process | None = None
        self._noticing: asyncio.Task[None] | None = None

    def now(self) -> float:
        """See ``ServiceHandle``."""
        return round(time.monotonic() - self._epoch_s, 6)

    def pid(self) -> int:
        """See ``ServiceHandle``."""
        return self.child.pid

    @property
    def config(self) -> Path:
        """The configuration file it watches."""
        return self._run.path / f"{self.name}.json"

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
            str(agent_socket(self._run, self.name)),
        ]
        sabotage = self._spec.context.sabotage
        argv += ["--sabotage", sabotage] if sabotage else []
        argv += ["--", "--config", str(self.config)]
        self.address = None
        self._child = Child(self.name, argv, self._run, self._spec.environment, self._line)
        await self._child.start()
        self._end_recorded = False
        self._state("started")
        self._noticing = asyncio.create_task(self._notice_end(self._child), name="service-end")
        self._sampled = psutil.Process(self._child.pid)
        with contextlib.suppress(psutil.Error):
            self._sampled.cpu_percent()

    @property
    def child(self) -> Child:
        """The process; raises ProcessError when it was never started."""
        if self._child is None:
            raise ProcessError("the service was never started")
        return self._child

    async def _notice_end(self, child: Child) -> None:
        """An end that nobody asked for is written down when it happens."""
        await child.wait(None)
        if child is self._child:
            self.exited()

    def _line(self, text: str) -> None:
        if self._spec.echo is not None:
            self._spec.echo(text)
        self._take_event(self._take_line(text), self._epoch_s)

    def _address_of(self, listening: Mapping[str, Any]) -> tuple[str, int]:
        return str(listening["host"]), int(listening["port"])

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

    def stopped(self) -> bool:
        """See ``ServiceHandle``."""
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
