"""The targets of ``hardening.faults.targets`` that the live world offers for its service.

In: the service's process and its run directory. Out (``agent_targets``): targets by protocol and name. What happens
inside the process goes through the agent that the launcher hosts, the rest through the kernel. Where the process has
ended nothing is held and counts are 0; ``RefusedError`` when the agent cannot do what is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from hardening.faults.base import UnsupportedTargetError
from hardening.faults.run_directory import RunDirectory
from hardening.worlds.agent.client import AgentHolds, agent_socket
from hardening.worlds.live.cgroup import ControlGroup, Lowered
from hardening.worlds.live.processes import Child
from hardening.worlds.live.service_process import ServiceProcess
from hardening.worlds.rpc import RefusedError
from hardening.worlds.shared.downstreams import NAMES
from hardening.worlds.shared.keys import Secrets
from hardening.worlds.shared.service_target import ServiceListener, ServiceTarget

SCRAPE_S_MAX = 2.0
OWN_REQUESTS = "harness-"
"""Ids of requests by which the harness itself looks at the service begin so: they are nobody's attack."""

_SPIN = "while True: pass"
_BY_AGENT: Mapping[str, str] = {
    "memory_bytes": "memory",
    "address_space_bytes": "address_space",
    "cpu_share": "cpu",
    "descriptors_spare": "descriptors",
}
_BY_GROUP: Mapping[str, str] = {"memory_headroom_bytes": "memory", "cpu_quota": "cpu"}
_READINGS: Mapping[str, str] = {"memory_bytes": "signal_rss_bytes", "descriptors": "signal_fds"}
"""Where the service itself says it, in /metrics."""

Scrape = Callable[[], Any]


class ServiceResources:
    """``Resources`` of one process: by its agent, by its control group, by neighbours beside it.

    ``scrape`` gives the process's own metrics by name (awaitable, empty when it has none).
    """

    def __init__(self, holds: AgentHolds, run: RunDirectory, pid: Callable[[], int], scrape: Scrape) -> None:
        self._holds = holds
        self._run = run
        self._pid = pid
        self._scrape = scrape
        self._lowered: dict[str, Lowered] = {}
        self._neighbours: list[Child] = []

    async def hold(self, resource: str, amount: float) -> Mapping[str, Any]:
        """See ``hardening.faults.targets.Resources``."""
        if resource in _BY_AGENT:
            return await self._holds.hold(resource, _BY_AGENT[resource], amount=amount)
        if resource in _BY_GROUP:
            return self._lower(resource, amount)
        if resource == "neighbours":
            return await self._crowd(int(amount))
        known = ", ".join((*_BY_AGENT, *_BY_GROUP, "neighbours"))
        raise UnsupportedTargetError("resource", resource, known)

    def _lower(self, resource: str, amount: float) -> Mapping[str, Any]:
        controller = _BY_GROUP[resource]
        group = ControlGroup.of(self._pid(), controller)
        memory = controller == "memory"
        lowered = group.lower_memory(int(amount), self._run) if memory else group.lower_cpu(amount, self._run)
        self._lowered[resource] = lowered
        return {"means": f"cgroup v{group.version}", "before": lowered.before}

    async def _crowd(self, count: int) -> Mapping[str, Any]:
        for i in range(count):
            child = Child(f"neighbour-{i}", [sys.executable, "-S", "-c", _SPIN], self._run)
            self._neighbours.append(child)
            await child.start()
        return {"means": "processes", "processes": count}

    async def release(self, resource: str) -> Mapping[str, float]:
        """See ``hardening.faults.targets.Resources``."""
        if resource in _BY_AGENT:
            return await self._holds.release(resource, _BY_AGENT[resource])
        if resource in self._lowered:
            return {"limit_hits": float(self._lowered.pop(resource).release())}
        if resource != "neighbours":
            return {}
        neighbours, self._neighbours = self._neighbours, []
        burnt_s = 0.0
        for child in neighbours:
            with suppress(psutil.Error):
                burnt_s += sum(psutil.Process(child.pid).cpu_times()[:2])
            await child.stop(2)
        return {"cpu_s": round(burnt_s, 3)} if neighbours else {}

    async def reading(self, resource: str) -> float:
        """Of ``memory_bytes``, ``descriptors`` or ``cpu_s``: the service's own word, else the kernel's."""
        if resource in _READINGS:
            said = (await self._scrape()).get(_READINGS[resource])
            if said is not None:
                return float(said)
        try:
            process = psutil.Process(self._pid())
            if resource == "memory_bytes":
                return float(process.memory_info().rss)
            return float(process.num_fds()) if resource == "descriptors" else sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            return 0.0


class ServiceClock:
    """``Clock``: the wall clock inside the process, jump and drift together in one hold."""

    def __init__(self, holds: AgentHolds) -> None:
        self._holds = holds

    async def jump(self, offset_s: float) -> None:
        """See ``hardening.faults.targets.Clock``."""
        if offset_s == 0:
            await self._holds.release("clock", "clock")
        else:
            await self._holds.hold("clock", "clock", offset_s=offset_s)

    async def drift(self, rate: float) -> None:
        """See ``hardening.faults.targets.Clock``."""
        if rate == 1:
            await self._holds.release("clock", "clock")
        else:
            await self._holds.hold("clock", "clock", rate=rate)

    async def offset(self) -> float:
        """See ``hardening.faults.targets.Clock``; 0 when the process has ended."""
        try:
            return float((await self._holds.once("offset"))["offset_s"])
        except ConnectionError:
            return 0.0


class ServiceLoop:
    """``EventLoop``: the one that runs in the process."""

    def __init__(self, holds: AgentHolds) -> None:
        self._holds = holds

    async def stall(self, seconds: float) -> None:
        """See ``hardening.faults.targets.EventLoop``; returns when the stall is over."""
        with suppress(ConnectionError):
            await self._holds.once("stall", seconds=seconds)

    async def lag_ms(self) -> float:
        """See ``hardening.faults.targets.EventLoop``; 0 when the process has ended."""
        try:
            return float((await self._holds.once("lag"))["lag_ms"])
        except (ConnectionError, RefusedError):
            return 0.0


class ServiceFiles:
    """``Files``: ``audit``, ``logs``, and ``log_reader`` (its count is bytes, not writes)."""

    def __init__(self, holds: AgentHolds, audit_path: Path) -> None:
        self._holds = holds
        self._audit_path = audit_path

    async def fill(self, where: str) -> None:
        """See ``hardening.faults.targets.Files``."""
        given = {"path": str(self._audit_path)} if where == "audit" else {}
        await self._holds.hold(f"files:{where}", where, **given)

    async def drain(self, where: str) -> None:
        """See ``hardening.faults.targets.Files``."""
        await self._holds.release(f"files:{where}", where)

    async def refused(self, where: str) -> int:
        """See ``hardening.faults.targets.Files``."""
        counts = await self._holds.read(f"files:{where}", where)
        return int(counts.get("writes_refused", counts.get("bytes_held", 0)))


class ServiceName:
    """``Names``: how the process looks up one host name."""

    def __init__(self, holds: AgentHolds, host: Callable[[], str]) -> None:
        self._holds = holds
        self._host = host
        self._failed = ""

    async def fail(self, how: str, delay_s: float) -> None:
        """See ``hardening.faults.targets.Names``."""
        host = self._host()
        if not host or _is_address(host):
            raise UnsupportedTargetError("fault.target", host, "a downstream whose URL has a host name, not an address")
        await self._holds.hold(f"name:{host}", "name", name=host, how=how, delay_s=delay_s)
        self._failed = host

    async def restore(self) -> None:
        """See ``hardening.faults.targets.Names``."""
        await self._holds.release(f"name:{self._failed}", "name", name=self._failed)

    async def hurt(self) -> int:
        """See ``hardening.faults.targets.Names``."""
        counts = await self._holds.read(f"name:{self._failed}", "name", name=self._failed)
        return int(counts.get("lookups_hurt", 0))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def scrape(address: tuple[str, int] | None, key: str) -> dict[str, float]:
    """The service's metrics without labels, by name; empty when it does not answer in time."""
    if address is None:
        return {}
    host, port = address
    try:
        # Plain HTTP: without verify=False httpx builds an SSL context for 20 ms each time.
        async with httpx.AsyncClient(trust_env=False, timeout=SCRAPE_S_MAX, verify=False) as client:  # noqa: S501
            headers = {"X-API-Key": key, "X-Request-Id": f"{OWN_REQUESTS}scrape"}
            answer = await client.get(f"http://{host}:{port}/metrics", headers=headers)
    except httpx.HTTPError:
        return {}
    if answer.status_code != 200:
        return {}
    families = text_string_to_metric_families(answer.text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def agent_targets(
    service: ServiceProcess, run: RunDirectory, secrets: Secrets, audit_path: Path
) -> dict[tuple[str, str], object]:
    """Every target of the service's process by protocol and name; made once per world (it listens to its events)."""
    holds = AgentHolds(agent_socket(run, service.name))

    async def own_metrics() -> dict[str, float]:
        return await scrape(service.address, secrets.keys["operator"].key)

    targets: dict[tuple[str, str], object] = {
        ("process", "service"): ServiceTarget(service),
        ("resources", "service"): ServiceResources(holds, run, service.pid, own_metrics),
        ("clock", "service"): ServiceClock(holds),
        ("event_loop", "service"): ServiceLoop(holds),
        ("files", "service"): ServiceFiles(holds, audit_path),
        ("listener", "service"): ServiceListener(lambda: service.address, secrets.keys["demo"].key),
        ("names", "redis"): ServiceName(holds, _host_of(service, "redis_url")),
    }
    names = {("names", name): ServiceName(holds, _host_of(service, "downstreams", name, "url")) for name in NAMES}
    return {**targets, **names}


def _host_of(service: ServiceProcess, *path: str) -> Callable[[], str]:
    def host() -> str:
        value: Any = service.settings
        for part in path:
            value = value[part]
        return urlsplit(str(value)).hostname or ""

    return host
