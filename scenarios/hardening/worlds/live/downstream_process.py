"""The process of the fake downstreams in the live world.

In: which of them, where, from which seed; the lines that it writes. Out: events of the history, in seconds since the
run began, and ``Downstream`` targets of faults. ``ProcessError`` when it does not come up or does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from hardening.faults.run_directory import RunDirectory
from hardening.history.events import Recorder
from hardening.worlds.live.processes import Child, ProcessError, until
from hardening.worlds.shared.downstreams import NAMES

START_S_MAX = 15.0


@dataclass(slots=True)
class DownstreamProcess:
    """All four fake downstreams in one process; ports stay the same over a restart."""

    run: RunDirectory
    recorder: Recorder
    epoch_s: float
    seed: int = 0
    candles: str = ""
    only: Sequence[str] = NAMES
    latency_s: Mapping[str, float] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    _child: Child | None = None

    async def start(self) -> None:
        """Start and wait for the ports; raises ProcessError with the last words."""
        spec = {"seed": self.seed, "candles": self.candles, "only": list(self.only), "ports": self.ports}
        spec["latency_s"] = dict(self.latency_s)
        argv = [sys.executable, "-m", "hardening.worlds.shared.downstreams", "--spec", json.dumps(spec)]
        self._child = Child("downstreams", argv, self.run, {}, self._line)
        known = dict(self.ports)
        self.ports.clear()
        await self._child.start()
        child = self._child
        if not await until(lambda: bool(self.ports) or not child.running(), START_S_MAX) or not self.ports:
            self.ports.update(known)
            raise ProcessError(f"the fake downstreams did not come up: {' | '.join(child.tail[-2:])}")

    def _line(self, text: str) -> None:
        with contextlib.suppress(ValueError):
            record = json.loads(text)
            if "ports" in record:
                self.ports.update(record["ports"])
                return
            self.recorder.add(
                record["mono_s"] - self.epoch_s,
                record["process"],
                record["type"],
                record["f"],
                record["value"],
                record["id"],
            )

    def url(self, name: str) -> str:
        """Address of one fake downstream."""
        return f"http://127.0.0.1:{self.ports[name]}"

    async def stop(self) -> None:
        """End the process."""
        if self._child is not None:
            await self._child.stop(5)

    async def control(self, name: str, fault: Mapping[str, Any] | None, *, put: bool) -> int:
        """Set or read the misbehaviour of one fake downstream; returns how often the one before hurt.

        Raises:
            ProcessError: when the fake downstreams do not answer.
        """
        async with httpx.AsyncClient(trust_env=False, timeout=5, verify=False) as client:  # noqa: S501 - plain http
            url = f"http://127.0.0.1:{self.ports['control']}/{name}"
            try:
                # Not json=fault: httpx takes None for "no body", and here it means "heal".
                answer = await (client.put(url, content=json.dumps(fault)) if put else client.get(url))
                answer.raise_for_status()
            except httpx.HTTPError as error:
                raise ProcessError(f"the control port of the fake downstreams failed: {error}") from error
            return int(answer.json()["hurt"])

    def target(self, name: str) -> DownstreamTarget:
        """The ``Downstream`` target of one fake downstream."""
        return DownstreamTarget(self, name)


@dataclass(slots=True)
class DownstreamTarget:
    """Implements ``Downstream`` of ``hardening.faults.targets``."""

    process: DownstreamProcess
    name: str
    _hurt: int = 0

    async def misbehave(self, fault: Mapping[str, Any] | None) -> None:
        """Set or heal."""
        self._hurt = await self.process.control(self.name, fault, put=True)

    async def hurt(self) -> int:
        """How many answers were altered: by the fault now set, or by the one just healed."""
        now = await self.process.control(self.name, None, put=False)
        return now or self._hurt


async def settle(recorder: Recorder, quiet_s: float = 0.1, deadline_s: float = 2.0) -> None:
    """Wait until no event came in for ``quiet_s`` seconds: the processes' last lines have been read."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    before = -1
    while len(recorder) != before and loop.time() < end:
        before = len(recorder)
        await asyncio.sleep(quiet_s)
