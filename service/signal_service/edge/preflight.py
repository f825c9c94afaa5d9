"""Preflight: is this a deployment that may go live? One line for each thing that is wrong, all of them at once.

Checked are the configuration itself, what it asks of the machine or container, and the critical dependencies as they
are now. A store that forgets what it acknowledged is a fault: accepted alerts would be lost with it.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signal_service.clients.downstream import World
from signal_service.clients.factory import CRITICAL, ClientManager
from signal_service.config import settings as configuration
from signal_service.config.settings import Settings, SettingsError
from signal_service.edge import live_seams
from signal_service.edge.startup import Dependency, try_once
from signal_service.seams import Seams
from signal_service.store.outbox import PREMISE, Outbox
from signal_service.store.redis_link import RedisLink

MB = 1024 * 1024
DESCRIPTORS_BESIDE = 64
"""Logs, listener, Redis, watcher, and room for the unforeseen."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the process gets: bytes of memory, cores, file descriptors."""

    memory_bytes: int
    cores: float
    descriptors: int

    @classmethod
    def here(cls) -> Machine:
        """This container, or the machine where there is none."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(live_seams.memory_bytes(), live_seams.cpu_limit(), soft)


@dataclass(slots=True)
class Findings:
    """``problems`` forbid to go live; ``notes`` are worth knowing. One line each, ``field: what is wrong``.

    ``unreadable``: there was no configuration to check, so the problems are those of the question.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unreadable: bool = False


async def inspect(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any], machine: Machine, seams: Seams
) -> Findings:
    """Everything that is wrong with the deployment that ``path`` and ``environ`` describe."""
    findings = Findings()
    try:
        data = configuration.gather(path, environ, overrides)
    except SettingsError as error:
        findings.problems += error.problems
        findings.unreadable = True
        return findings
    settings, wrong = _best_effort(data)
    findings.problems += wrong
    if settings is None:
        return findings
    findings.problems += _dangers(settings)
    findings.problems += _capacity(settings, machine)
    findings.problems += _audit_place(settings.audit_path)
    await _dependencies(settings, seams, findings)
    return findings


def _dangers(settings: Settings) -> list[str]:
    """As in production whatever the environment is called, or one variable would switch the checks off."""
    if settings.environment != "development":
        return settings.dangers()
    line = "environment: development switches the checks of secrets, debug and CORS off; not for a deployment"
    return [line, *settings.model_copy(update={"environment": "production"}).dangers()]


def _best_effort(data: dict[str, Any]) -> tuple[Settings | None, list[str]]:
    """The settings without their malformed fields, so that one typing error does not hide the other faults."""
    problems: list[str] = []
    for _ in range(3):
        try:
            return configuration.build(data), problems
        except SettingsError as error:
            problems += [line for line in error.problems if line not in problems]
            data = {name: value for name, value in data.items() if name not in {_top(line) for line in problems}}
    return None, problems


def _top(line: str) -> str:
    return line.partition(":")[0].partition(".")[0]


def _capacity(settings: Settings, machine: Machine) -> list[str]:
    """Budgets are per process, so what counts is their sum over the workers."""
    found = []
    workers, budgets = settings.workers, settings.budgets
    memory_mb = machine.memory_bytes // MB
    if workers * budgets.memory_mb > memory_mb:
        found.append(f"budgets.memory_mb: {workers} x {budgets.memory_mb} MB exceed the {memory_mb} MB that there are")
    if workers * budgets.cpu_share > machine.cores + 1e-9:
        asked = f"{workers} x {budgets.cpu_share:g} cores"
        found.append(f"budgets.cpu_share: {asked} exceed the {machine.cores:g} that there are")
    downstreams = settings.downstreams
    outgoing = sum(
        one.concurrency for one in (downstreams.ticker, downstreams.user, downstreams.alert, downstreams.comms)
    )
    needed = settings.clients.connections + outgoing + DESCRIPTORS_BESIDE
    if needed > machine.descriptors:
        found.append(f"clients.connections: up to {needed} descriptors are needed, the limit is {machine.descriptors}")
    return found


def _audit_place(path: Path) -> list[str]:
    target = path if path.exists() else path.absolute().parent
    if not target.exists():
        return ["audit_path: its directory does not exist"]
    return [] if os.access(target, os.W_OK) else ["audit_path: cannot be written"]


async def _dependencies(settings: Settings, seams: Seams, findings: Findings) -> None:
    world = World(seams.emit, seams.monotonic, seams.sleep, random.Random(0), seams.network)
    clients = ClientManager(settings, world)
    try:
        link = RedisLink(seams.redis(settings.redis_url.get_secret_value()), seams.emit, seams.monotonic)
    except ValueError:
        findings.problems.append("redis_url: cannot be used")
        await clients.aclose()
        return
    limit_s = settings.startup.attempt_s
    checks = {
        "redis_url": Dependency("redis", True, lambda: link.ping(limit_s)),
        **{
            f"downstreams.{name}.url": Dependency(name, name in CRITICAL, one.health)
            for name, one in clients.downstreams.items()
        },
    }
    try:
        reasons = await asyncio.gather(*(try_once(one, limit_s) for one in checks.values()))
        for (name, one), why in zip(checks.items(), reasons, strict=True):
            if why is not None:
                kind = "critical" if one.critical else "optional"
                line = f"{name}: the {kind} {one.name} cannot be used: {_plainly(why, limit_s)}"
                (findings.problems if one.critical else findings.notes).append(line)
        if reasons[0] is None:
            await _durability(Outbox(link, settings.outbox, emit=seams.emit, monotonic=seams.monotonic), findings)
    finally:
        await clients.aclose()
        await link.aclose()


def _plainly(why: str, limit_s: float) -> str:
    """What an operator can act on, for what ``try_once`` calls by the names of classes."""
    words = {
        "timeout": f"no answer within {limit_s:g} s",
        "DownstreamError connect": "no connection, or the name does not resolve",
        "DownstreamError reset": "it ends the connection in mid-answer",
        "DownstreamError malformed": "what answers there does not speak HTTP",
        "DownstreamError status": "its health answers with an error",
        "DownstreamError client_error": "its health refuses us, look at service_token",
        "RedisGoneError AuthenticationError": "the password is refused",
        "RedisGoneError ConnectionError": "no connection, or the name does not resolve",
        "RedisGoneError": f"no answer within {limit_s:g} s",
    }
    return words.get(why, why)


async def _durability(outbox: Outbox, findings: Findings) -> None:
    promise = await outbox.durability()
    if promise == "volatile":
        needed = ", ".join(f"{name} {value}" for name, value in PREMISE.items())
        findings.problems.append(f"redis_url: the store is volatile, needed are {needed}")
    elif promise == "unknown":
        findings.notes.append("redis_url: the store does not tell whether it is durable (CONFIG is not allowed)")
