from __future__ import annotations

import asyncio
from typing import Any

import pytest
from back_world import make_cache, pass_time, run, until
from cache_world import world

from signal_service.config.settings import CacheSettings
from signal_service.context import RequestContext, current_request
from signal_service.store.cache_entry import unpack


def test_many_callers_of_a_key_cause_one_load_and_the_lock_table_ends_empty():
    async def main() -> None:
        cache, _, _, _, events, source = world()
        found = await asyncio.gather(*(cache.get("k", source.load) for _ in range(50)))
        assert {answer.value for answer in found} == {1}
        assert source.number == 1
        assert len(events.of("cache", event="join")) == 49
        assert [event["count"] for event in events.of("cache", event="locks")] == [1, 0]
        assert cache.locks == 0

    run(main())


@pytest.mark.parametrize("victim", [0, 3])
def test_a_cancelled_leader_or_follower_harms_nobody_else(victim: int):
    async def main() -> None:
        cache, _, _, _, _, source = world()
        source.gate.clear()
        callers = [asyncio.ensure_future(cache.get("k", source.load)) for _ in range(6)]
        await until(lambda: source.running == 1)
        callers[victim].cancel()
        await asyncio.sleep(0)
        source.gate.set()
        found = await asyncio.gather(*callers, return_exceptions=True)
        assert isinstance(found.pop(victim), asyncio.CancelledError)
        assert {answer.value for answer in found} == {1}
        assert source.number == 1

    run(main())


def test_a_load_that_nobody_waits_for_any_more_ends_and_the_next_caller_loads_anew():
    async def main() -> None:
        cache, _, _, _, _, source = world()
        source.gate.clear()
        callers = [asyncio.ensure_future(cache.get("k", source.load)) for _ in range(3)]
        await until(lambda: source.running == 1)
        for caller in callers:
            caller.cancel()
        again = asyncio.ensure_future(cache.get("k", source.load))
        await asyncio.wait(callers)
        source.gate.set()
        assert (await again).value == 2
        assert source.most_at_once == 1
        assert cache.locks == 0

    run(main())


def test_a_failed_load_fails_all_who_wait_and_is_not_kept():
    async def main() -> None:
        cache, _, _, _, events, source = world()
        source.error = ValueError("no")
        found = await asyncio.gather(*(cache.get("k", source.load) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(error, ValueError) for error in found)
        assert source.number == 1
        assert len(events.of("cache", event="load_failed")) == 1
        source.error = None
        assert (await cache.get("k", source.load)).value == 2

    run(main())


def test_a_follower_with_time_left_survives_the_leaders_deadline():
    async def main() -> None:
        cache, _, _, clock, _, source = world()
        source.gate.clear()

        async def ask(deadline_s: float) -> Any:
            current_request.set(RequestContext("r", deadline_s))
            return await cache.get("k", source.load)

        leader = asyncio.ensure_future(ask(clock() + 5))
        await until(lambda: source.running == 1)
        clock.now_s += 4.9
        follower = asyncio.ensure_future(ask(clock() + 5))
        await asyncio.sleep(0)
        source.error = TimeoutError("the leader's time was over")
        source.gate.set()
        await asyncio.wait([leader])
        assert isinstance(leader.exception(), TimeoutError)
        source.error = None
        assert (await follower).value == 2

    run(main())


def test_each_write_sets_the_full_ttl_anew():
    async def main() -> None:
        cache, _, client, clock, _, source = world()
        for _ in range(3):
            await cache.put("k", "v")
            assert await client.pttl("signal:cache:k") > 359_000
            await pass_time(clock, client, 59)
            found = await cache.get("k", source.load)
            assert (found.value, found.source) == ("v", "cache")
        await pass_time(clock, client, 1.5)
        assert (await cache.get("k", source.load)).source == "load"
        assert await client.pttl("signal:cache:k") > 359_000

    run(main())


def test_a_copy_that_redis_confirmed_just_now_is_still_not_served_beyond_its_ttl():
    async def main() -> None:
        cache, _, client, clock, _, source = world()
        await cache.put("k", "v")
        await pass_time(clock, client, 59.5)
        assert (await cache.get("k", source.load)).source == "cache"
        await pass_time(clock, client, 0.7)
        assert (await cache.get("k", source.load)).source == "load"

    run(main())


def test_nothing_is_served_fresh_beyond_its_ttl_nor_stale_beyond_its_grace():
    async def main() -> None:
        cache, _, client, clock, events, source = world()
        await cache.put("k", "v")
        await pass_time(clock, client, 60)
        source.error = OSError("ticker is down")
        with pytest.raises(OSError, match="down"):
            await cache.get("k", source.load)
        found = cache.stale("k")
        assert (found.value, found.source, round(found.age_s)) == ("v", "stale", 60)
        await pass_time(clock, client, 299)
        assert (await cache.peek("k")).source == "stale"
        await pass_time(clock, client, 1)
        assert cache.stale("k") is None
        assert await cache.peek("k") is None
        assert all(event["age_s"] < 360 for event in events.of("cache", event="stale"))

    run(main())


def test_a_reload_to_shorter_times_holds_for_what_is_already_there():
    async def main() -> None:
        cache, _, client, clock, _, source = world()
        await cache.put("k", "v")
        await pass_time(clock, client, 20)
        cache.apply(CacheSettings(ttl_s=10, stale_s=20))
        assert (await cache.peek("k")).source == "stale"
        await pass_time(clock, client, 10)
        assert await cache.peek("k") is None
        assert cache.stale("k") is None
        assert (await cache.get("k", source.load)).source == "load"

    run(main())


def test_a_slow_load_never_overwrites_a_newer_write():
    async def main() -> None:
        cache, _, client, clock, events, source = world()
        source.gate.clear()
        slow = asyncio.ensure_future(cache.get("k", source.load))
        await until(lambda: source.running == 1)
        await cache.put("k", "newer")
        source.gate.set()
        assert (await slow).value == "newer"
        assert events.of("cache", event="discarded")
        clock.now_s += 2
        assert (await cache.get("k", source.load)).value == "newer"
        assert unpack("k", await client.get("signal:cache:k"), None).data == "newer"

    run(main())


def test_an_invalidation_voids_the_load_under_way_without_letting_two_run():
    async def main() -> None:
        cache, _, _, _, events, source = world()
        source.gate.clear()
        before = asyncio.ensure_future(cache.get("k", source.load))
        await until(lambda: source.running == 1)
        await cache.invalidate("k")
        after = asyncio.ensure_future(cache.get("k", source.load))
        await asyncio.sleep(0)
        source.gate.set()
        assert (await after).value == 2
        assert (await before).value == 1  # asked before the invalidation
        assert source.most_at_once == 1
        assert len(events.of("cache", event="discarded")) == 1
        assert cache.locks == 0

    run(main())


def test_an_invalidation_by_another_process_is_seen_and_voids_its_slow_loads():
    async def main() -> None:
        here, _, client, clock, events, source = world()
        there, _, _ = make_cache(clock, events, client)
        await here.put("k", "old")
        await there.invalidate("k")
        clock.now_s += 1.1
        assert (await here.get("k", source.load)).value == 1
        source.gate.clear()
        await here.invalidate("k")
        slow = asyncio.ensure_future(here.get("k", source.load))
        await until(lambda: source.running == 1)
        await there.put("k", "theirs")
        source.gate.set()
        await slow
        clock.now_s += 1.1
        assert (await here.get("k", source.load)).value == "theirs"

    run(main())


def test_the_copies_in_process_are_bounded_by_number_and_by_size():
    async def main() -> None:
        cache, _, _, _, events, _ = world(entries=10)
        for number in range(30):
            await cache.put(f"k{number}", "v")
        assert len(cache) == 10
        assert len(events.of("cache", event="evict")) == 20
        await cache.put("big", "x" * 23_999_000)
        await cache.put("other", "y" * 10_000)
        assert len(cache) == 1

    run(main())


def test_a_jump_of_the_wall_clock_changes_no_age():
    async def main() -> None:
        cache, _, client, clock, events, source = world()
        await cache.put("k", "v")
        raw = await client.get("signal:cache:k")
        assert b"1.0" not in raw.replace(b"360.0", b"")  # the wall's reading is nowhere in the entry
        found = await cache.get("k", source.load)
        assert found.age_s == 0
        del clock, events

    run(main())
