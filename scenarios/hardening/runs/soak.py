"""A soak: a hundred thousand distinct keys under a flood of scrapes, while the service's memory is watched."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hardening.claims.c2_memory import KEYS_MIN
from hardening.runs.phases import OnPhase, Run, no_phase
from hardening.runs.probes import probe_after_end, probe_metrics, probe_outbox, probe_ready
from hardening.runs.runner import observed
from hardening.worlds.live.world import LiveWorld
from hardening.worlds.shared.client import SteadyClient
from hardening.worlds.shared.soak_load import KEYS_A_BATCH, Keys, oddity, scrape
from hardening.worlds.spec import RunContext, WorldSpec

SETTINGS = {
    # One line for each thing that happened to each key would weigh more than the keys.
    "log_events": "summary",
    # Lifted: the claim is about memory. Work at full speed on a shared machine must not be shed.
    "budgets": {"accepted_per_window": 1_000_000, "cpu_share": 64.0, "loop_lag_ms": 10_000.0},
    # Entries are written before they are asked for, all at once.
    "cache": {"ttl_s": 600.0},
}
KEEP_S = 900.0
"""TTL and grace of those settings."""
WARM_KEYS = 12_000
"""Of the keys: more than the cache in process holds, so that it is full and evicts before memory is watched."""
ASKERS = 4
BATCHES_A_SCRAPE = 2
ODDITIES_A_BATCH = 2
SOAK_S_MAX = 150.0
"""When even a machine under siege should be done; what is left undone leaves the claim unknown."""


@dataclass(slots=True)
class _Count:
    keys: int = 0
    scrapes: int = 0


async def run_soak(context: RunContext, on_phase: OnPhase = no_phase) -> Run:
    """Warm up, ask for every key, watch; the ``soak`` probes say when and how much."""
    world = LiveWorld(WorldSpec(context, "soak", SETTINGS, proxied=False))
    soak = _Soak(world, on_phase)

    async def body() -> None:
        async with world:
            await soak.run()
            await probe_ready(world)
            await probe_outbox(world)
            await probe_metrics(world)
            on_phase("shutdown")
            await world.service.stop()
            await world.settle()
            probe_after_end(world)

    return await observed(world, body)


class _Soak:
    def __init__(self, world: LiveWorld, on_phase: OnPhase) -> None:
        self.world = world
        self.on_phase = on_phase
        self.keys = Keys(world.spec.context.seed, KEEP_S)
        self.rounds: Iterator[int] = itertools.count()
        self.count = _Count()

    async def run(self) -> None:
        """Fill Redis, warm up, soak; a service that ends meanwhile ends it."""
        world = self.world
        self.on_phase("fill")
        await self.keys.fill(world.redis.url, KEYS_MIN, time.time())
        end_s = world.now() + SOAK_S_MAX
        self._phase("steady")
        await self._ask(WARM_KEYS // KEYS_A_BATCH, end_s)
        self._phase("soak")
        self._probe(phase="begin")
        await self._ask((KEYS_MIN - WARM_KEYS) // KEYS_A_BATCH, end_s)
        self._probe(phase="end", distinct_keys=self.count.keys, metrics_scrapes=self.count.scrapes)
        self._phase("quiet")

    def _phase(self, name: str) -> None:
        self.on_phase(name)
        if name != "soak":
            self.world.recorder.add(self.world.now(), "harness", "state", "phase", {"phase": name})

    def _probe(self, **value: Any) -> None:
        self.world.recorder.add(self.world.now(), "harness", "state", "probe", {"probe": "soak", **value})

    async def _ask(self, rounds: int, end_s: float) -> None:
        """So many batches, with everything that goes with them, by ``ASKERS`` side by side."""
        mine = iter(list(itertools.islice(self.rounds, rounds)))
        async with asyncio.TaskGroup() as group:
            for _ in range(ASKERS):
                group.create_task(self._asker(mine, end_s))

    async def _asker(self, rounds: Iterator[int], end_s: float) -> None:
        world = self.world
        client = world.client.steady()
        try:
            for number in rounds:
                if world.now() > end_s or not world.service.child.running():
                    return
                await self._round(client, number)
        finally:
            client.close()

    async def _round(self, client: SteadyClient, number: int) -> None:
        answer = await client.send(self.keys.batch(number * KEYS_A_BATCH))
        if answer is not None and answer[0] == 200:
            self.count.keys += sum("answer" in result for result in json.loads(answer[2])["results"])
        if number % BATCHES_A_SCRAPE == 0:
            scraped = await client.send(scrape())
            self.count.scrapes += scraped is not None and scraped[0] == 200
        for which in range(ODDITIES_A_BATCH):
            await client.send(oddity(number * ODDITIES_A_BATCH + which, self.world.spec.context.seed))
