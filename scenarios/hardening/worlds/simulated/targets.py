"""What the simulated world offers to faults: the same faults act on these targets as on real processes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from signal import SIGHUP
from typing import TYPE_CHECKING, Any

from hardening.faults.base import UnsupportedTargetError
from hardening.simulator.adapters.redis_server import SimRedis, SimRedisSession
from hardening.simulator.net.network import NameFault
from hardening.worlds.live.targets import ServiceListener
from hardening.worlds.shared.misbehaviour import Misbehaviour
from hardening.worlds.shared.moments import is_moment
from hardening.worlds.simulated.service import HOST, SimService

if TYPE_CHECKING:
    from hardening.worlds.shared.downstreams import StandIn
    from hardening.worlds.simulated.world import SimWorld

_PAGE_BYTES = 4096
_TICK_S = 0.02
_FAILURES: Mapping[str, int | None] = {"not_found": socket.EAI_NONAME, "try_again": socket.EAI_AGAIN, "slow": None}


class SimProcess:
    """``Process`` and ``Moments`` over the simulated service."""

    def __init__(self, service: SimService) -> None:
        self._service = service
        self._waiting: list[tuple[str, asyncio.Event]] = []
        self.signal = service.signal
        self.start = service.start
        service.on_event.append(self._look)

    async def alive(self) -> bool:
        """See ``hardening.faults.targets.Process``."""
        return self._service.running()

    async def stopped(self) -> bool:
        """See ``hardening.faults.targets.Process``."""
        return self._service.stopped()

    async def reached(self, moment: str, deadline_s: float) -> bool:
        """See ``hardening.faults.targets.Moments``; ``mid_reload`` sends HUP and comes true at once, as when live."""
        if moment == "mid_reload":
            await self._service.signal(SIGHUP)
            return True
        entry = (moment, asyncio.Event())
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(deadline_s):
                await entry[1].wait()
        except TimeoutError:
            return False
        finally:
            self._waiting.remove(entry)
        return True

    def _look(self, event: str, fields: Mapping[str, Any]) -> None:
        for moment, seen in self._waiting:
            if is_moment(moment, event, fields):
                seen.set()


class SimResources:
    """``Resources``: what the service's sampler will read."""

    def __init__(self, world: SimWorld) -> None:
        self._world = world
        self._held: dict[str, float] = {}

    async def hold(self, resource: str, amount: float) -> Mapping[str, Any]:
        """See ``hardening.faults.targets.Resources``; control groups and address space are refused."""
        service = self._world.service
        if resource == "memory_bytes":
            service.machine.ballast_bytes += int(amount)
        elif resource == "cpu_share":
            service.machine.burnt_share += amount
        elif resource == "descriptors_spare":
            self._world.network.live_host(HOST).descriptors_left = int(amount)
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
        machine = self._world.service.machine
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
        network = self._world.network
        network.live_host(HOST).descriptors_left = None
        waiting = 0
        for server in network.listeners(HOST):
            waiting += server.accept_backlog()
        return {"descriptors_held": 1.0, "connections_kept_waiting": float(waiting)}

    async def reading(self, resource: str) -> float:
        """See ``hardening.faults.targets.Resources``: memory is the service's own newest reading."""
        machine = self._world.service.machine
        reading = machine.last or machine.now()
        if resource == "memory_bytes":
            return float(reading.rss_bytes)
        return float(reading.fds) if resource == "descriptors" else reading.cpu_share


class SimClock:
    """``Clock``: the wall clock of the service."""

    def __init__(self, world: SimWorld) -> None:
        self._world = world

    async def jump(self, offset_s: float) -> None:
        """See ``hardening.faults.targets.Clock``."""
        self._world.loop.set_wall(offset_s, 1.0, HOST)

    async def drift(self, rate: float) -> None:
        """See ``hardening.faults.targets.Clock``."""
        self._world.loop.set_wall(0.0, rate, HOST)

    async def offset(self) -> float:
        """See ``hardening.faults.targets.Clock``."""
        return self._world.loop.wall_off_s()


class SimEventLoop:
    """``EventLoop``: only the service's machine stands still, the others go on."""

    def __init__(self, world: SimWorld) -> None:
        self._world = world
        self._lag_ms = 0.0

    async def stall(self, seconds: float) -> None:
        """See ``hardening.faults.targets.EventLoop``."""
        host = self._world.service.host
        if host is None or not self._world.service.running() or host.stopped:
            return
        self._world.loop.stop_host(host)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._world.loop.resume_host(host)
        self._lag_ms = max(self._lag_ms, seconds * 1000)

    async def lag_ms(self) -> float:
        """See ``hardening.faults.targets.EventLoop``."""
        if not self._world.service.running():
            return 0.0
        loop, ran = self._world.loop, asyncio.Event()
        asked_s = loop.time()
        with self._world.network.host(HOST):
            loop.call_soon(ran.set)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ran.wait(), 30.0)
        lag_ms, self._lag_ms = max(self._lag_ms, (loop.time() - asked_s) * 1000), 0.0
        return lag_ms


class SimFilesTarget:
    """``Files``: ``audit``, ``logs``, and ``log_reader`` (its count is log records that wait)."""

    def __init__(self, world: SimWorld) -> None:
        self._world = world

    async def fill(self, where: str) -> None:
        """See ``hardening.faults.targets.Files``."""
        files, pipe = self._world.files, self._world.service.pipe
        if where == "audit":
            files.is_full, files.refused = True, 0
        elif where == "logs":
            pipe.is_full, pipe.refused = True, 0
        else:
            pipe.is_blocked, pipe.held = True, 0

    async def drain(self, where: str) -> None:
        """See ``hardening.faults.targets.Files``."""
        if where == "audit":
            self._world.files.is_full = False
        elif where == "logs":
            self._world.service.pipe.is_full = False
        else:
            self._world.service.pipe.unblock()

    async def refused(self, where: str) -> int:
        """See ``hardening.faults.targets.Files``."""
        pipe = self._world.service.pipe
        return {"audit": self._world.files.refused, "logs": pipe.refused}.get(where, pipe.held)


class SimDownstream:
    """``Downstream``: a stand-in in this very process."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._before = 0

    async def misbehave(self, fault: Mapping[str, Any] | None) -> None:
        """See ``hardening.faults.targets.Downstream``."""
        self._before, self._stand_in.hurt = self._stand_in.hurt, 0
        self._stand_in.misbehaviour = None if fault is None else Misbehaviour.from_json(fault)

    async def hurt(self) -> int:
        """See ``hardening.faults.targets.Downstream``."""
        return self._stand_in.hurt or self._before


class SimNames:
    """``Names``: one host name of the simulated network."""

    def __init__(self, world: SimWorld, name: str) -> None:
        self._broken = world.network.broken_names
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

    def __init__(self, world: SimWorld, *names: str) -> None:
        self._network = world.network
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
    """The simulated Redis, with its comings and goings in the history as those of a process."""

    world: SimWorld
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
        self.world.recorder.add(self.world.now(), "harness", "state", "process", value)


def sim_targets(world: SimWorld) -> dict[tuple[str, str], object]:
    """Every target by protocol and name, without links and stand-ins."""
    targets: dict[tuple[str, str], object] = {
        ("process", HOST): SimProcess(world.service),
        ("resources", HOST): SimResources(world),
        ("clock", HOST): SimClock(world),
        ("event_loop", HOST): SimEventLoop(world),
        ("files", HOST): SimFilesTarget(world),
        ("listener", HOST): ServiceListener(lambda: world.service.address, world.secrets.keys["demo"].key),
        ("redis", "redis"): world.redis,
    }
    dependencies = ("redis", "ticker", "user", "alert", "comms")
    targets[("hosts", "hosts")] = SimHosts(world, *dependencies)
    for name in dependencies:
        targets[("names", name)] = SimNames(world, name)
        targets[("hosts", name)] = SimHosts(world, name)
    return targets
