"""Every fault of the catalogue in the simulated world: it injects, bites and heals, or is refused in one clear line."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from simulated_stage import in_world, leftovers, some_load

from hardening.faults.base import Effect, FaultError
from hardening.faults.catalogue import CATALOGUE
from hardening.faults.schedule import Schedule, run_schedule
from hardening.history.workload import signal
from hardening.worlds.simulated.world import SimWorld

REFUSED = {"redis_slow_commands": "redis.command is 'EVAL'"}
"""What this world lacks, and how it says so; the table in docs/SIMULATOR.md is the same."""

MORE: dict[str, dict[str, Any]] = {
    "connect_delay": {"target": "ticker"},
    "connect_refuse": {"target": "ticker"},
    "dns_failure": {"target": "ticker"},
    "fail_first": {"target": "ticker"},
    "net_slow_close": {"target": "ticker"},
    "disconnect_mid_answer": {"connections": 2, "wait_ms": 50.0},
    "connection_flood": {"connections": 250},
    "disk_full": {"where": "logs"},
    "network_partition": {"target": "ticker"},
}
COMPANY = {
    "net_slow_close": {"kind": "http_fault", "target": "ticker", "how": "truncated_body"},
    # The service keeps its connections: what acts on connecting needs something that ends them.
    **{
        kind: {"kind": "http_fault", "target": "ticker", "how": "reset"}
        for kind in ("connect_delay", "connect_refuse", "dns_failure", "fail_first")
    },
}
"""Faults that only bite beside another: somebody has to close a connection."""

BREAKER_S = 2.0


async def broken(world: SimWorld, schedule: list[dict[str, Any]], for_s: float = 4.0) -> dict[str, Effect]:
    """Run a schedule under load and await the service's way back."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run_schedule(Schedule.from_json(schedule), world))
        group.create_task(world.client.run(some_load(for_s)))
    for attempt in range(60):
        answer = await world.client.send(signal(0.0, f"AFTER{attempt}"))
        if answer is not None and answer[0] == 200:
            return running.result()
        await asyncio.sleep(0.25)
    raise AssertionError(f"not served within 15 s after {schedule}: {answer}")


def leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@pytest.mark.parametrize("kind", sorted(set(CATALOGUE) - set(REFUSED)))
def test_a_fault_bites_heals_and_leaves_a_service_that_serves(kind: str):
    bites: dict[str, Effect] = {}

    async def body(world: SimWorld) -> None:
        fault = {"kind": kind, **MORE.get(kind, {})}
        beside = [{"at_s": 0.6, "for_s": 1.5, "fault": COMPANY[kind]}] if kind in COMPANY else []
        bites.update(await broken(world, [{"at_s": 0.5, "for_s": 2.0, "fault": fault}, *beside]))

    breakers = {name: {"breaker": {"open_s": BREAKER_S}} for name in ("ticker", "user", "alert", "comms")}
    history = in_world(body, settings={"downstreams": breakers})
    assert bites["f0"].bit, dict(bites["f0"].counts)
    assert leftovers(history) == []


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_a_fault_that_this_world_lacks_is_refused_in_one_line_that_says_what_there_is(kind: str):
    caught: list[BaseException] = []

    async def body(world: SimWorld) -> None:
        try:
            await broken(world, [{"at_s": 0.0, "for_s": 1.0, "fault": {"kind": kind}}])
        except BaseExceptionGroup as group:
            caught.append(leaf(group))

    in_world(body)
    assert isinstance(caught[0], FaultError)
    assert str(caught[0]).startswith(REFUSED[kind])
    assert "in the simulated world" in str(caught[0])
    assert "\n" not in str(caught[0])


@pytest.mark.parametrize(
    ("protocol", "name"), [("resources", "redis"), ("process", "ticker"), ("link", "nobody"), ("files", "")]
)
def test_a_target_that_this_world_lacks_is_refused_with_those_it_has(protocol: str, name: str):
    async def body(world: SimWorld) -> None:
        with pytest.raises(
            FaultError, match=r"^fault\.target is .*allowed: what the simulated world has: clock service"
        ):
            world.target(protocol, name)

    in_world(body, start=False)


def test_a_resource_that_this_world_lacks_is_refused_with_those_it_has():
    async def body(world: SimWorld) -> None:
        resources: Any = world.target("resources", "service")
        with pytest.raises(FaultError, match="memory_bytes, cpu_share, descriptors_spare, neighbours"):
            await resources.hold("address_space_bytes", 1.0)

    in_world(body)


def test_faults_of_every_part_at_once_heal():
    faults = [
        {"at_s": 0.2, "for_s": 2.0, "fault": {"kind": "net_latency", "target": "redis", "latency_ms": 50}},
        {"at_s": 0.3, "for_s": 1.0, "fault": {"kind": "process_signal", "signal": "STOP"}},
        {"at_s": 0.4, "for_s": 2.0, "fault": {"kind": "clock_jump", "offset_s": -900.0}},
        {"at_s": 0.5, "for_s": 1.5, "fault": {"kind": "redis_killed"}},
        {"at_s": 0.6, "for_s": 1.0, "fault": {"kind": "disk_full", "where": "audit"}},
    ]

    async def body(world: SimWorld) -> None:
        await broken(world, faults)

    assert leftovers(in_world(body, seed=3)) == []
