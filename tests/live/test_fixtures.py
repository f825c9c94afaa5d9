"""The fixtures that other repositories use, used as they would be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hardening.faults.schedule import Injection
from hardening.faults.toxiproxy import Toxiproxy
from hardening.history.workload import signal
from hardening.worlds.live.valkey import ValkeyServer
from hardening.worlds.live.world import LiveWorld

pytestmark = [pytest.mark.live, pytest.mark.asyncio]


async def test_a_fault_has_its_effect_inside_its_block_and_is_healed_after_it(
    live_world: LiveWorld, inject: Callable[[dict[str, Any]], Injection]
) -> None:
    async with inject({"kind": "redis_killed"}) as injection:
        assert not await live_world.redis.alive()
        answer = await live_world.client.send(signal(0, "AAPL"))
        assert answer is not None
        assert answer[0] == 200
    assert injection.effect is not None
    assert injection.effect.effective
    assert await live_world.redis.alive()


async def test_a_fault_is_healed_when_its_block_is_cancelled(
    live_world: LiveWorld, inject: Callable[[dict[str, Any]], Injection]
) -> None:
    entered = asyncio.Event()

    async def hold() -> None:
        async with inject({"kind": "process_signal", "signal": "STOP"}):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await entered.wait()
    assert live_world.service.stopped()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not live_world.service.stopped()


async def test_redis_keeps_what_it_acknowledged_over_a_kill(redis_server: ValkeyServer) -> None:
    await redis_server.command("SET", "kept", "yes")
    await redis_server.kill()
    await redis_server.restart()
    assert await redis_server.command("GET", "kept") == b"yes"
    await redis_server.restart(keep_data=False)
    assert await redis_server.command("GET", "kept") is None


async def test_the_toxiproxy_says_which_one_it_is(toxiproxy: Toxiproxy) -> None:
    assert toxiproxy.kind.flavour in {"real", "embedded"}
