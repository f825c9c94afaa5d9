"""What lies in Redis: broken, foreign, unreachable, or just as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from back_world import pass_time, run
from cache_world import world

from signal_service.store.cache_entry import pack, tombstone, unpack
from signal_service.store.redis_link import RedisGoneError


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
