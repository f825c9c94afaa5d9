from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from back_world import Clock, Events, make_cache, pass_time, run, until

from service.cache_entry import pack, tombstone, unpack
from service.context import RequestContext, current_request
from service.redis_link import RedisGoneError
from service.settings import CacheSettings


class Source:
    """Loads numbers that grow, each when its gate is opened."""

    def __init__(self) -> None:
        self.number = 0
        self.running = 0
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def load(self) -> int:
        self.number += 1
        number = self.number
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await self.gate.wait()
            if self.error is not None:
                raise self.error
            return number
        finally:
            self.running -= 1


def world(**settings: Any) -> tuple[Any, Any, Any, Clock, Events, Source]:
    clock, events = Clock(), Events()
    cache, link, client = make_cache(clock, events, **settings)
    return cache, link, client, clock, events, Source()


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


def corruptions() -> dict[str, bytes]:
    good = pack("k", 1, 360.0, "old")
    return {
        "truncated": good[: len(good) // 2],
        "empty": b"",
        "binary": bytes(range(256)),
        "deep": b"[" * 100_000,
        "number": b"7",
        "version": good.replace(b'"v":1', b'"v":2'),
        "version type": good.replace(b'"v":1', b'"v":true'),
        "key": pack("other", 1, 360.0, "old"),
        "checksum": good.replace(b"old", b"odd"),
        "body": json.dumps({"v": 1, "sum": "x", "body": None}).encode(),
        "constant": good.replace(b'"old"', b"NaN"),
    }


@pytest.mark.parametrize("name", corruptions())
def test_a_broken_entry_is_a_counted_miss_and_deleted_and_never_served_or_raised(name: str):
    async def main() -> None:
        cache, _, client, _, events, source = world()
        await client.set("signal:cache:k", corruptions()[name], px=360_000)
        assert (await cache.get("k", source.load)).value == 1
        assert len(events.of("cache", event="corrupt")) == 1
        assert len(events.of("cache", event="miss")) == 1
        assert unpack("k", await client.get("signal:cache:k"), None).data == 1

    run(main())


@pytest.mark.parametrize("px", [None, 3_600_000])
def test_an_entry_that_redis_would_keep_longer_than_it_may_be_kept_is_corrupt(px: int | None):
    async def main() -> None:
        cache, _, client, _, events, source = world()
        await client.set("signal:cache:k", pack("k", 1, 360.0, "old"), px=px)
        assert (await cache.get("k", source.load)).value == 1
        assert events.of("cache", event="corrupt", why="ttl")

    run(main())


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, IndexError])
def test_an_entry_whose_value_cannot_be_decoded_is_corrupt(error: type[Exception]):
    async def main() -> None:
        cache, _, _, clock, events, source = world()
        await cache.put("k", "v")
        clock.now_s += 2

        def decode(_: Any) -> Any:
            raise error

        cache._decode = decode
        cache._forget("k")
        assert (await cache.get("k", source.load)).value == 1
        assert events.of("cache", event="corrupt", why="value")

    run(main())


def test_a_key_of_another_type_in_redis_is_survived():
    async def main() -> None:
        cache, _, client, _, _, source = world()
        await client.lpush("signal:cache:k", "x")
        assert (await cache.get("k", source.load)).value == 1
        assert (await cache.get("k", source.load)).value == 1

    run(main())


class Outage:
    """Makes every command fail, as a refused connection or a hanging server would."""

    def __init__(self, link: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False
        self.asked = 0
        real = link.run

        async def run_(work: Any, timeout_s: float = 0.25) -> Any:
            self.asked += 1
            link.up = not self.on
            if self.on:
                raise RedisGoneError
            return await real(work, timeout_s)

        monkeypatch.setattr(link, "run", run_)


def test_with_redis_gone_the_own_copy_answers_marked_and_redis_is_used_again_at_the_next_need(
    monkeypatch: pytest.MonkeyPatch,
):
    async def main() -> None:
        cache, link, client, clock, _, source = world()
        outage = Outage(link, monkeypatch)
        await cache.put("k", "v")
        outage.on = True
        await pass_time(clock, client, 2)
        found = await cache.get("k", source.load)
        assert (found.value, found.source, found.degraded) == ("v", "cache", True)
        other = await cache.get("other", source.load)
        assert (other.value, other.degraded) == (1, True)
        outage.on = False
        asked = outage.asked
        await pass_time(clock, client, 2)
        found = await cache.get("k", source.load)
        assert (found.value, found.degraded) == ("v", False)
        assert outage.asked > asked

    run(main())


def test_an_invalidation_while_redis_is_gone_holds_when_it_is_back(monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        cache, link, client, clock, _, source = world()
        outage = Outage(link, monkeypatch)
        await cache.put("k", "v")
        outage.on = True
        await pass_time(clock, client, 2)
        await cache.invalidate("k")
        outage.on = False
        assert (await cache.get("k", source.load)).value == 1
        await pass_time(clock, client, 2)
        assert (await cache.get("k", source.load)).value == 1

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


def test_a_broken_entry_is_a_miss_even_where_a_good_copy_is_in_process_which_still_helps_when_the_load_fails():
    async def main() -> None:
        cache, _, client, clock, events, source = world()
        await cache.put("k", "v")
        clock.now_s += 2
        await client.set("signal:cache:k", b"junk", px=360_000)
        source.error = OSError("ticker is down")
        with pytest.raises(OSError, match="down"):
            await cache.get("k", source.load)
        assert cache.stale("k").value == "v"
        assert events.of("cache", event="corrupt", why="truncated")
        assert await client.get("signal:cache:k") is None

    run(main())


def test_a_tombstone_is_no_value():
    envelope = unpack("k", tombstone("k", 3, 360.0), 360.0)
    assert (envelope.dead, envelope.data, envelope.version) == (True, None, 3)


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


def test_an_unchanged_entry_is_not_decoded_again_and_its_expiry_is_checked_all_the_same():
    async def main() -> None:
        cache, _, client, clock, events, source = world()
        decoded: list[Any] = []
        plain = cache._decode
        cache._decode = lambda data: decoded.append(data) or plain(data)
        await cache.get("k", source.load)
        clock.now_s += 2.0
        assert (await cache.get("k", source.load)).source == "cache"
        assert decoded == []
        await client.persist("signal:cache:k")
        clock.now_s += 2.0
        assert (await cache.get("k", source.load)).value == 2
        assert events.of("cache", event="corrupt", why="ttl")

    run(main())
