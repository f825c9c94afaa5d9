"""Accepting: durable before the answer, once for each key, bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from back_world import run
from outbox_world import BODY, World
from redis.exceptions import ResponseError

from signal_service.store.outbox import Accepted, KeyConflictError, OutboxFullError, OutboxUnavailableError


def test_a_rule_that_did_not_hold_is_remembered_under_its_key():
    async def main() -> None:
        world = World()
        declined = await world.outbox.decline("bob", "k1", BODY)
        assert (declined.alert_id, declined.first) == ("", True)
        for use in (world.outbox.accept, world.outbox.decline, world.outbox.replay):
            assert (await use("bob", "k1", BODY)) == Accepted("", False)
            with pytest.raises(KeyConflictError):
                await use("bob", "k1", {**BODY, "symbol": "OTHER"})
        accepted = await world.outbox.accept("bob", "k2", BODY)
        assert (await world.outbox.decline("bob", "k2", BODY)).alert_id == accepted.alert_id
        await world.work()
        assert world.alert.seen == [accepted.alert_id]

    run(main())


def test_a_key_used_again_gives_the_first_answer_and_with_another_body_a_conflict():
    async def main() -> None:
        world = World()
        assert await world.outbox.replay("bob", "k1", BODY) is None
        first = await world.outbox.accept("bob", "k1", BODY)
        again = await world.outbox.accept("bob", "k1", dict(reversed(BODY.items())))
        assert (again.alert_id, again.first) == (first.alert_id, False)
        assert await world.outbox.replay("bob", "k1", BODY) == again
        for use in (world.outbox.accept, world.outbox.replay):
            with pytest.raises(KeyConflictError):
                await use("bob", "k1", {**BODY, "symbol": "OTHER"})
        other = await world.outbox.accept("eve", "k1", BODY)
        assert other.first
        assert other.alert_id != first.alert_id
        await world.work()
        assert len(world.alert.seen) == 2

    run(main())


def test_many_uses_of_one_key_at_once_store_one_alert():
    async def main() -> None:
        world = World()
        found = await asyncio.gather(*(world.outbox.accept("bob", "k1", BODY) for _ in range(20)))
        assert sum(answer.first for answer in found) == 1
        assert len({answer.alert_id for answer in found}) == 1
        assert await world.client.xlen(world.outbox.names.stream) == 1

    run(main())


def test_two_processes_racing_for_one_key_store_one_alert():
    async def main() -> None:
        world = World()
        here = world.outbox
        world.restart()
        found = await asyncio.gather(
            *(box.accept("bob", f"k{n}", BODY) for n in range(10) for box in (here, world.outbox))
        )
        assert sum(answer.first for answer in found) == 10
        assert await world.client.xlen(world.outbox.names.stream) == 10

    run(main())


def test_the_outbox_is_full_at_its_capacity_exactly_and_has_room_again_after_delivery():
    async def main() -> None:
        world = World(capacity=5)
        found = await asyncio.gather(
            *(world.outbox.accept("bob", f"k{n}", BODY) for n in range(9)), return_exceptions=True
        )
        assert sum(isinstance(answer, OutboxFullError) for answer in found) == 4
        assert len(world.events.of("outbox", event="full")) == 4
        assert not (await world.outbox.accept("bob", "k0", BODY)).first  # a replay needs no room
        await world.work()
        assert (await world.outbox.accept("bob", "k9", BODY)).first

    run(main())


def test_without_redis_nothing_is_accepted(monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        world = World()
        world.break_redis(monkeypatch)
        with pytest.raises(OutboxUnavailableError):
            await world.outbox.accept("bob", "k1", BODY)
        with pytest.raises(OutboxUnavailableError):
            await world.outbox.replay("bob", "k1", BODY)
        assert len(world.events.of("outbox", event="unavailable")) == 2
        assert not world.events.of("outbox", event="accepted")
        assert (await world.outbox.state())["reachable"] is False

    run(main())


def test_an_error_of_redis_is_no_acceptance(monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        world = World()

        async def refuse(*_: Any, **__: Any) -> Any:
            raise ResponseError("OOM command not allowed when used memory > 'maxmemory'")

        monkeypatch.setattr(world.outbox, "_write", refuse)
        with pytest.raises(OutboxUnavailableError):
            await world.outbox.accept("bob", "k1", BODY)

    run(main())


@pytest.mark.parametrize("flip", [(b"digest", b"digesu"), (b'"alert_id": "', b'"alert_id": "0')])
def test_a_remembered_key_that_was_damaged_gives_no_answer_rather_than_a_wrong_one(flip: tuple[bytes, bytes]):
    async def main() -> None:
        world = World()
        await world.outbox.accept("bob", "k1", BODY)
        (name,) = await world.client.keys(world.outbox.names.record + "*")
        held = await world.client.get(name)
        await world.client.set(name, held.replace(*flip))
        with pytest.raises(OutboxUnavailableError):
            await world.outbox.replay("bob", "k1", BODY)

    run(main())


def test_durability_is_told_from_the_configuration_and_never_guessed(monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        world = World()
        assert await world.outbox.durability() == "unknown"  # fakeredis has no CONFIG

        config = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}

        async def config_get(name: str) -> dict[str, str]:
            return {name: config[name]}

        monkeypatch.setattr(world.client, "config_get", config_get)
        assert await world.outbox.durability() == "unknown"  # not asked again at once
        world.clock.now_s += 5
        assert await world.outbox.durability() == "durable"
        config["appendfsync"] = "everysec"
        world.clock.now_s += 5
        assert await world.outbox.durability() == "volatile"
        world.clock.now_s += 5
        assert await world.outbox.durability() == "volatile"
        assert len(world.events.of("redis", event="volatile")) == 1

    run(main())
