"""The targets of ``hardening.faults.targets`` that the simulated world offers: the same faults act on both worlds.

In: the machines, the service, its disk, Redis and fake downstreams. Out (``sim_targets``): targets by protocol and
name. ``UnsupportedTargetError`` for what only a real process has: control groups, address space, Redis scripts.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from typing import Any

from hardening.faults.base import UnsupportedTargetError
from hardening.simulator.adapters.redis_server import SimRedis, SimRedisSession
from hardening.simulator.net.network import NameFault
from hardening.worlds.shared.downstreams import FakeDownstream
from hardening.worlds.shared.misbehaviour import Misbehaviour
from hardening.worlds.shared.service_target import ServiceListener, ServiceTarget
from hardening.worlds.simulated.layout import HOST, SimMachines
from hardening.worlds.simulated.seams import SimFiles
from hardening.worlds.simulated.service import SimService

_PAGE_BYTES = 4096
_TICK_S = 0.02
_FAILURES: Mapping[str, int | None] = {"not_found": socket.EAI_NONAME, "try_again": socket.EAI_AGAIN, "slow": None}


class SimResources:
    """``Resources``: what the service's sampler will read."""

    def __init__(self, service: SimService, machines: SimMachines) -> None:
        self._service = service
        self._network = machines.network
        self._held: dict[str, float] = {}

    async def hold(self, resource: str, amount: float) -> Mapping[str, Any]:
        """See ``hardening.faults.targets.Resources``; control groups and address space are refused."""
        service = self._service
        if resource == "memory_bytes":
            service.machine.ballast_bytes += int(amount)
        elif resource == "cpu_share":
            service.machine.burnt_share += amount
        elif resource == "descriptors_spare":
            self._network.live_host(HOST).descriptors_left = int(amount)
        elif resource != "neighbours":
            known = "memory_bytes, cpu_share, descriptors_spare, neighbours in the simulated world"
            raise UnsupportedTargetError("resource", resource, known)
        self._held[resource] = amount
        return {"means": "simulated", "amount": amount}

    async def release(self, resource: str) -> Mapping[str, float]:
        """See ``hardening.faults.targets.Resources``."""
        amount = self._held.pop(resource, None)
        if amount is None:
            return {}
        machine = self._service.machine
        if resource == "memory_bytes":
            machine.ballast_bytes -= int(amount)
            return {"held_bytes": amount, "pages_held": float(int(amount) // _PAGE_BYTES)}
        if resource == "cpu_share":
            machine.burnt_share -= amount
            return {"cpu_s": amount}
        if resource == "neighbours":
            return {"cpu_s": amount}
        return self._open_up()

    def _open_up(self) -> Mapping[str, float]:
        self._network.live_host(HOST).descriptors_left = None
        waiting = 0
        for server in self._network.listeners(HOST):
            waiting += server.accept_backlog()
        return {"descriptors_held": 1.0, "connections_kept_waiting": float(waiting)}

    async def reading(self, resource: str) -> float:
        """See ``hardening.faults.targets.Resources``: memory is the service's own newest reading."""
        machine = self._service.machine
        reading = machine.last or machine.now()
        if resource == "memory_bytes":
            return float(reading.rss_bytes)
        return float(reading.fds) if resource == "descriptors" else reading.cpu_share


class SimClock:
    """``Clock``: the wall clock of the service."""

    def __init__(self, machines: SimMachines) -> None:
        self._loop = machines.loop

    async def jump(self, offset_s: float) -> None:
        """See ``hardening.faults.targets.Clock``."""
        self._loop.set_wall(offset_s, 1.0, HOST)

    async def drift(self, rate: float) -> None:
        """See ``hardening.faults.targets.Clock``."""
        self._loop.set_wall(0.0, rate, HOST)

    async def offset(self) -> float:
        """See ``hardening.faults.targets.Clock``."""
        return self._loop.wall_off_s()


class SimEventLoop:
    """``EventLoop``: only the service's machine stands still, the others go on."""

    def __init__(self, service: SimService, machines: SimMachines) -> None:
        self._service = service
        self._machines = machines
        self._lag_ms = 0.0

    async def stall(self, seconds: float) -> None:
        """See ``hardening.faults.targets.EventLoop``."""
        host = self._service.host
        if host is None or not self._service.running() or host.stopped:
            return
        self._machines.loop.stop_host(host)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._machines.loop.resume_host(host)
        self._lag_ms = max(self._lag_ms, seconds * 1000)

    async def lag_ms(self) -> float:
        """See ``hardening.faults.targets.EventLoop``."""
        if not self._service.running():
            return 0.0
        loop, ran = self._machines.loop, asyncio.Event()
        asked_s = loop.time()
        with self._machines.network.host(HOST):
            loop.call_soon(ran.set)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ran.wait(), 30.0)
        lag_ms, self._lag_ms = max(self._lag_ms, (loop.time() - asked_s) * 1000), 0.0
        return lag_ms


class SimFilesTarget:
    """``Files``: ``audit``, ``logs``, and ``log_reader`` (its count is log records that wait)."""

    def __init__(self, service: SimService, files: SimFiles) -> None:
        self._service = service
        self._files = files

    async def fill(self, where: str) -> None:
        """See ``hardening.faults.targets.Files``."""
        files, pipe = self._files, self._service.pipe
        if where == "audit":
            files.is_full, files.refused = True, 0
        elif where == "logs":
            pipe.is_full, pipe.refused = True, 0
        else:
            pipe.is_blocked, pipe.held = True, 0

    async def drain(self, where: str) -> None:
        """See ``hardening.faults.targets.Files``."""
        if where == "audit":
            self._files.is_full = False
        elif where == "logs":
            self._service.pipe.is_full = False
        else:
            self._service.pipe.unblock()

    async def refused(self, where: str) -> int:
        """See ``hardening.faults.targets.Files``."""
        pipe = self._service.pipe
        return {"audit": self._files.refused, "logs": pipe.refused}.get(where, pipe.held)


class SimDownstream:
    """``Downstream``: a fake downstream in this process."""

    def __init__(self, fake: FakeDownstream) -> None:
        self._fake = fake
        self._before = 0

    async def misbehave(self, fault: Mapping[str, Any] | None) -> None:
        """See ``hardening.faults.targets.Downstream``."""
        self._before, self._fake.hurt = self._fake.hurt, 0
        self._fake.misbehaviour = None if fault is None else Misbehaviour.from_json(fault)

    async def hurt(self) -> int:
        """See ``hardening.faults.targets.Downstream``."""
        return self._fake.hurt or self._before


class SimNames:
    """``Names``: one host name of the simulated network."""

    def __init__(self, machines: SimMachines, name: str) -> None:
        self._broken = machines.network.broken_names
        self._name = name
        self._hurt = 0

    async def fail(self, how: str, delay_s: float) -> None:
        """See ``hardening.faults.targets.Names``."""
        self._broken[self._name] = NameFault(_FAILURES[how], delay_s)

    async def restore(self) -> None:
        """See ``hardening.faults.targets.Names``."""
        fault = self._broken.pop(self._name, None)
        self._hurt = fault.hurt if fault is not None else self._hurt

    async def hurt(self) -> int:
        """See ``hardening.faults.targets.Names``."""
        fault = self._broken.get(self._name)
        return fault.hurt if fault is not None else self._hurt


class SimHosts:
    """``Hosts``: the ways between the service and other machines."""

    def __init__(self, machines: SimMachines, *names: str) -> None:
        self._network = machines.network
        self._names = names
        self._held = 0

    async def part(self) -> None:
        """See ``hardening.faults.targets.Hosts``."""
        for name in self._names:
            self._network.part(HOST, name)

    async def join(self) -> None:
        """See ``hardening.faults.targets.Hosts``."""
        self._held = self._count()
        for name in self._names:
            self._network.heal(HOST, name)

    async def lost(self) -> int:
        """See ``hardening.faults.targets.Hosts``: packets held, and connects that hang."""
        return self._count() or self._held

    def _count(self) -> int:
        return sum(self._network.held_packets(HOST, name) for name in self._names)


class _Session(SimRedisSession):
    """An administrator's connection that says in time what there is not."""

    async def command(self, *words: str | bytes | int) -> Any:
        """See ``hardening.faults.targets.RedisSession``."""
        if str(words[0]).upper() in {"EVAL", "EVALSHA", "FCALL"}:
            known = "commands without scripts in the simulated world, whose Redis runs none"
            raise UnsupportedTargetError("redis.command", words[0], known)
        return await super().command(*words)


class RecordedRedis(SimRedis):
    """The simulated Redis, with its starts and ends in the history as those of a process."""

    machines: SimMachines
    session_kind = _Session
    _lives = 0

    async def kill(self) -> None:
        """See ``hardening.faults.targets.RedisServer``."""
        await super().kill()
        self._state("exited", exit_code=-9)

    async def shutdown(self) -> None:
        """See ``hardening.faults.targets.RedisServer``."""
        await super().shutdown()
        self._state("exited", exit_code=0)

    async def restart(self, *, keep_data: bool = True) -> None:
        """See ``hardening.faults.targets.RedisServer``."""
        await super().restart(keep_data=keep_data)
        self._lives += 1
        self._state("started")

    def _state(self, state: str, **more: Any) -> None:
        value = {"name": "redis", "state": state, "pid": 6000 + self._lives, **more}
        self.machines.record("harness", "state", "process", value)


def sim_targets(
    machines: SimMachines,
    service: SimService,
    files: SimFiles,
    redis: RecordedRedis,
    fakes: Mapping[str, FakeDownstream],
    key: str,
) -> dict[tuple[str, str], object]:
    """Every target but links, by protocol and name; made once per world. Clients of the listener send ``key``."""
    targets: dict[tuple[str, str], object] = {
        ("process", HOST): ServiceTarget(service),
        ("resources", HOST): SimResources(service, machines),
        ("clock", HOST): SimClock(machines),
        ("event_loop", HOST): SimEventLoop(service, machines),
        ("files", HOST): SimFilesTarget(service, files),
        ("listener", HOST): ServiceListener(lambda: service.address, key),
        ("redis", "redis"): redis,
    }
    dependencies = ("redis", *fakes)
    targets[("hosts", "hosts")] = SimHosts(machines, *dependencies)
    for name in dependencies:
        targets[("names", name)] = SimNames(machines, name)
        targets[("hosts", name)] = SimHosts(machines, name)
    return {**targets, **{("downstream", name): SimDownstream(fake) for name, fake in fakes.items()}}
