"""A few faults on the real service in the live world: they reach it through the targets that the world mounts."""

from __future__ import annotations

import asyncio
import re

import pytest

from hardening.faults.base import Fault, UnsupportedTargetError
from hardening.faults.dns_failure import DnsFailure
from hardening.faults.process_signals import ProcessSignal
from hardening.faults.resources import MB, MemoryPressure
from hardening.faults.schedule import Injection
from hardening.history.workload import Operation
from hardening.worlds.live.world import LiveWorld
from hardening.worlds.spec import WorldSpec

pytestmark = [pytest.mark.live]


def signal_of(symbol: str) -> Operation:
    return Operation(0, "signal", "GET", f"/v2/signals/{symbol}?timeframe=1m", "demo")


async def effect(fault: Fault, world: LiveWorld, *asked: Operation) -> dict[str, float]:
    injection = Injection(fault, world)
    async with injection:
        await asyncio.gather(*(world.client.send(operation) for operation in asked))
    assert injection.effect is not None
    return dict(injection.effect.counts)


@pytest.mark.asyncio
async def test_ballast_moves_the_services_own_reading_of_its_memory() -> None:
    async with LiveWorld(WorldSpec()) as world:
        counts = await effect(MemoryPressure(held_mb=64), world)
        assert counts["reading_moved_bytes"] > 48 * MB
    assert world.leftovers() == []


@pytest.mark.asyncio
async def test_a_second_term_in_the_drain_is_sent_and_the_service_is_back_afterwards() -> None:
    async with LiveWorld(WorldSpec()) as world:
        assert await effect(ProcessSignal(second="TERM"), world) == {"signals_sent": 2}
        answer = await world.client.send(signal_of("AAPL"))
        assert answer is not None
        assert answer[0] == 200
    assert world.leftovers() == []


@pytest.mark.asyncio
async def test_the_name_of_a_downstream_that_does_not_resolve_is_met_by_the_service() -> None:
    world = LiveWorld(WorldSpec())
    try:
        await world.prepare()
        ticker = world.service.settings["downstreams"]["ticker"]
        ticker["url"] = re.sub(r"127\.0\.0\.1|localhost", "ticker.localhost", ticker["url"])
        await world.service.start()
        # The connection that the start left in the pool would be used without any look-up; many at once need more.
        counts = await effect(DnsFailure(), world, *(signal_of(s) for s in ("AAPL", "MSFT", "TSLA", "NVDA", "AMZN")))
        assert counts["lookups_hurt"] >= 1
        answer = await world.client.send(signal_of("META"))
        assert answer is not None
        assert answer[0] in {200, 503}
    finally:
        await world.close()


@pytest.mark.asyncio
async def test_a_downstream_known_by_its_address_has_no_name_to_break() -> None:
    world = LiveWorld(WorldSpec())
    try:
        await world.prepare()
        user = world.service.settings["downstreams"]["user"]
        user["url"] = re.sub(r"//[^:/]+", "//127.0.0.1", user["url"])
        with pytest.raises(UnsupportedTargetError, match="host name, not an address"):
            await effect(DnsFailure(target="user"), world)
    finally:
        await world.close()
