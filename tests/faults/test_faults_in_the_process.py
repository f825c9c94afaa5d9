"""Faults that the agent brings about: the effect and the healing of each are seen from inside the process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from double_world import NAME, DoubleProcess, DoubleWorld, double_world

from hardening.faults.base import Fault
from hardening.faults.clock_skew import ClockDrift, ClockJump
from hardening.faults.disk_full import DiskFull, LogReaderBlocked
from hardening.faults.dns_failure import DnsFailure
from hardening.faults.loop_stall import EventLoopStall
from hardening.faults.process_signals import ProcessSignal
from hardening.faults.resources import MB, CpuPressure, DescriptorsExhausted, MemoryPressure, NoisyNeighbour
from hardening.faults.schedule import Injection
from hardening.faults.waiting import wait_until
from hardening.worlds.live.processes import until

pytestmark = [pytest.mark.live]


@contextlib.asynccontextmanager
async def injected(fault: Fault, root: Path) -> AsyncIterator[tuple[DoubleWorld, DoubleProcess, Injection]]:
    async with double_world(root) as world:
        injection = Injection(fault, world)
        assert world.process is not None
        async with injection:
            yield world, world.process, injection


async def wait_for_offset(process: DoubleProcess, offset_s: float) -> None:
    async def moved() -> bool:
        return bool(await process.ask("time") - time.time() > offset_s)

    assert await wait_until(moved, 10)


async def rss(world: DoubleWorld) -> float:
    target = world.known[("resources", "service")]
    return float(await target.reading("memory_bytes"))  # type: ignore[attr-defined]


@pytest.mark.asyncio
async def test_ballast_is_seen_in_the_resident_set_and_given_back(short_path: Path) -> None:
    async with double_world(short_path) as world:
        before = await rss(world)
        injection = Injection(MemoryPressure(held_mb=64), world)
        async with injection:
            assert await rss(world) > before + 60 * MB
        assert await rss(world) < before + 16 * MB
    assert injection.effect is not None
    assert injection.effect.counts["pages_held"] == 64 * MB / 4096
    assert injection.effect.counts["reading_moved_bytes"] > 60 * MB


@pytest.mark.asyncio
async def test_a_lowered_address_space_refuses_large_allocations_until_it_is_healed(short_path: Path) -> None:
    fault = MemoryPressure(means="rlimit_as", headroom_mb=8)
    async with injected(fault, short_path) as (_, process, injection):
        assert await process.ask("allocate", bytes=256 * MB) == "MemoryError"
    assert injection.effect is not None
    assert injection.effect.counts == {"probes_refused": 1.0}


@pytest.mark.asyncio
async def test_a_healed_address_space_takes_large_allocations_again(short_path: Path) -> None:
    async with double_world(short_path) as world:
        async with Injection(MemoryPressure(means="rlimit_as", headroom_mb=8), world):
            pass
        assert world.process is not None
        assert await world.process.ask("allocate", bytes=256 * MB) == 256 * MB


@pytest.mark.asyncio
async def test_a_spinning_thread_burns_the_processor_inside_the_process(short_path: Path) -> None:
    async with injected(CpuPressure(share=0.5), short_path) as (world, _, injection):
        target = world.known[("resources", "service")]
        before = await target.reading("cpu_s")  # type: ignore[attr-defined]
        await asyncio.sleep(0.5)
        assert await target.reading("cpu_s") - before > 0.05  # type: ignore[attr-defined]
    assert injection.effect is not None
    assert injection.effect.counts["cpu_s"] > 0.05


@pytest.mark.asyncio
async def test_noisy_neighbours_burn_their_own_time_and_are_gone_afterwards(short_path: Path) -> None:
    async with injected(NoisyNeighbour(processes=1), short_path) as (world, _, injection):
        neighbours = [owned for owned in world.run.owned() if owned.name.startswith("neighbour")]
        assert [owned.is_running() for owned in neighbours] == [True]
        await asyncio.sleep(0.3)
    assert [owned.is_running() for owned in neighbours] == [False]
    assert injection.effect is not None
    assert injection.effect.effective


@pytest.mark.asyncio
async def test_no_descriptor_is_left_and_the_agent_can_still_be_reached(short_path: Path) -> None:
    async with double_world(short_path) as world:
        assert world.process is not None
        injection = Injection(DescriptorsExhausted(), world)
        async with injection:
            assert await world.process.ask("open") == "EMFILE"
            # The agent lets a new caller in all the same: with one of those it hoards.
            assert await world.known[("clock", "service")].offset() == 0  # type: ignore[attr-defined]
        assert await world.process.ask("open") == "open"
    assert injection.effect is not None
    assert injection.effect.counts["probes_refused"] == 1
    assert injection.effect.counts["descriptors_held"] >= 0


@pytest.mark.asyncio
async def test_spare_descriptors_are_left_to_the_process(short_path: Path) -> None:
    async with injected(DescriptorsExhausted(spare=3), short_path) as (_, process, injection):
        assert await process.ask("open") == "open"
    assert injection.effect is not None
    assert injection.effect.counts["probes_refused"] == 0


@pytest.mark.asyncio
async def test_a_stalled_loop_answers_late_and_then_on_time(short_path: Path) -> None:
    async with double_world(short_path) as world:
        assert world.process is not None
        injection = Injection(EventLoopStall(stall_ms=400), world)
        async with injection:
            await asyncio.sleep(0.05)
            began = time.monotonic()
            await world.process.ask("time")
            assert time.monotonic() - began > 0.2
        began = time.monotonic()
        await world.process.ask("time")
        assert time.monotonic() - began < 0.2
    assert injection.effect is not None
    assert injection.effect.counts["stalls"] == 1
    assert injection.effect.counts["lag_ms"] > 200


@pytest.mark.asyncio
async def test_stalls_repeat_until_they_are_healed(short_path: Path) -> None:
    async with injected(EventLoopStall(stall_ms=50, every_ms=100), short_path) as (_, _, injection):
        await asyncio.sleep(0.5)
    assert injection.effect is not None
    assert injection.effect.counts["stalls"] >= 2


@pytest.mark.asyncio
@pytest.mark.parametrize("offset_s", [3600.0, -86400.0])
async def test_the_wall_clock_jumps_and_jumps_back(short_path: Path, offset_s: float) -> None:
    async with double_world(short_path) as world:
        assert world.process is not None
        injection = Injection(ClockJump(offset_s=offset_s), world)
        async with injection:
            assert await world.process.ask("time") - time.time() == pytest.approx(offset_s, abs=1)
        assert await world.process.ask("time") - time.time() == pytest.approx(0, abs=1)
    assert injection.effect is not None
    assert injection.effect.counts == {"clock_moved_s": abs(offset_s)}


@pytest.mark.asyncio
async def test_the_wall_clock_drifts_and_is_set_right(short_path: Path) -> None:
    async with double_world(short_path) as world:
        assert world.process is not None
        injection = Injection(ClockDrift(rate=100), world)
        async with injection:
            await asyncio.sleep(0.1)
            assert await world.process.ask("time") - time.time() > 5
        assert await world.process.ask("time") - time.time() == pytest.approx(0, abs=1)
    assert injection.effect is not None
    assert injection.effect.counts["clock_moved_s"] > 5


@pytest.mark.asyncio
async def test_a_full_disk_refuses_the_audit_log_and_leaves_it_whole(short_path: Path) -> None:
    async with double_world(short_path) as world:
        process, path = world.process, str(world.audit)
        assert process is not None
        assert await process.ask("append", path=path, text="first\n") == 6
        injection = Injection(DiskFull(where="audit"), world)
        async with injection:
            assert await process.ask("append", path=path, text="second\n") == "EFBIG"
        assert await process.ask("append", path=path, text="third\n") == 6
        assert world.audit.read_text() == "first\nthird\n"
    assert injection.effect is not None
    assert injection.effect.counts == {"writes_refused": 1}


@pytest.mark.asyncio
async def test_a_full_disk_refuses_the_logs(short_path: Path) -> None:
    async with double_world(short_path) as world:
        process = world.process
        assert process is not None
        injection = Injection(DiskFull(where="logs"), world)
        async with injection:
            assert await process.ask("log", text="lost\n") == "ENOSPC"
        assert await process.ask("log", text="kept\n") == 5
        assert await until(lambda: "kept" in process.lines, 5)
        assert "lost" not in process.lines
    assert injection.effect is not None
    assert injection.effect.counts == {"writes_refused": 1}


@pytest.mark.asyncio
async def test_what_nobody_read_is_handed_on_when_the_reader_is_back(short_path: Path) -> None:
    async with double_world(short_path) as world:
        process = world.process
        assert process is not None
        injection = Injection(LogReaderBlocked(), world)
        async with injection:
            await process.ask("log", text="held\n")
            await asyncio.sleep(0.1)
            assert "held" not in process.lines
        await process.ask("log", text="after\n")
        assert await until(lambda: process.lines[-2:] == ["held", "after"], 5)
    assert injection.effect is not None
    assert injection.effect.counts == {"bytes_held": 5}


@pytest.mark.asyncio
async def test_a_name_fails_to_resolve_while_others_do_and_resolves_again(short_path: Path) -> None:
    async with double_world(short_path) as world:
        assert world.process is not None
        assert await world.process.ask("look_up", name=NAME) == "127.0.0.1"
        injection = Injection(DnsFailure(target="ticker"), world)
        async with injection:
            assert "not_found (injected)" in await world.process.ask("look_up", name=NAME)
            assert await world.process.ask("look_up", name="user.localhost") == "127.0.0.1"
        assert await world.process.ask("look_up", name=NAME) == "127.0.0.1"
    assert injection.effect is not None
    assert injection.effect.counts == {"lookups_hurt": 1}


@pytest.mark.asyncio
async def test_a_fault_that_nobody_met_did_not_bite(short_path: Path) -> None:
    async with injected(DnsFailure(target="ticker", how="try_again"), short_path) as (_, _, injection):
        pass
    assert injection.effect is not None
    assert not injection.effect.effective


@pytest.mark.asyncio
async def test_a_stopped_process_is_continued(short_path: Path) -> None:
    async with double_world(short_path) as world:
        assert world.process is not None
        injection = Injection(ProcessSignal(signal="STOP"), world)
        async with injection:
            assert await world.process.stopped()
        assert not await world.process.stopped()
    assert injection.effect is not None
    assert injection.effect.effective


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["KILL", "TERM"])
async def test_an_ended_process_is_started_again(short_path: Path, name: str) -> None:
    async with double_world(short_path) as world:
        assert world.process is not None
        first = world.process.child.pid
        async with Injection(ProcessSignal(signal=name), world):
            assert await until(lambda: not world.process.child.running(), 5)  # type: ignore[union-attr]
        assert await world.process.ask("open") == "open"
        assert world.process.child.pid != first


@pytest.mark.asyncio
async def test_what_a_dead_harness_held_is_let_go_by_the_agent(short_path: Path) -> None:
    async with double_world(short_path) as world:
        assert world.process is not None
        clock = world.known[("clock", "service")]
        await clock.jump(500)  # type: ignore[attr-defined]
        assert await world.process.ask("time") - time.time() > 400
        # A harness that dies closes its sockets; nothing else is needed.
        await clock._holds.close()  # type: ignore[attr-defined]

        async def let_go() -> bool:
            assert world.process is not None
            return bool(await world.process.ask("time") - time.time() < 400)

        assert await wait_until(let_go, 5)


@pytest.mark.asyncio
async def test_a_fault_whose_process_was_killed_meanwhile_heals_all_the_same(short_path: Path) -> None:
    async with double_world(short_path) as world:
        injections = [Injection(fault, world) for fault in (ClockJump(), DiskFull(), DescriptorsExhausted(spare=5))]
        async with contextlib.AsyncExitStack() as stack:
            for injection in injections:
                await stack.enter_async_context(injection)
            assert world.process is not None
            await world.process.signal(signal.SIGKILL)
            assert await until(lambda: not world.process.child.running(), 5)  # type: ignore[union-attr]


@pytest.mark.asyncio
async def test_a_fault_is_healed_when_its_task_is_cancelled(short_path: Path) -> None:
    async with double_world(short_path) as world:
        assert world.process is not None

        async def hold() -> None:
            async with Injection(ClockJump(offset_s=500), world), Injection(MemoryPressure(held_mb=32), world):
                await asyncio.sleep(60)

        task = asyncio.create_task(hold())
        await wait_for_offset(world.process, 400)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await world.process.ask("time") - time.time() == pytest.approx(0, abs=1)


@pytest.mark.asyncio
async def test_a_fault_on_a_process_that_has_ended_does_not_bite(short_path: Path) -> None:
    async with double_world(short_path) as world:
        assert world.process is not None
        await world.process.signal(signal.SIGKILL)
        assert await until(lambda: not world.process.child.running(), 5)  # type: ignore[union-attr]
        for fault in (
            MemoryPressure(),
            ClockJump(),
            ClockDrift(),
            CpuPressure(),
            DescriptorsExhausted(),
            DnsFailure(),
            DiskFull(),
        ):
            injection = Injection(fault, world)
            async with injection:
                pass
            assert injection.effect is not None
            assert not injection.effect.effective, fault.kind
