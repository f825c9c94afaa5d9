"""Delivering: every accepted alert to both receivers, once in effect, whatever fails or dies in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from back_world import run
from outbox_world import BODY, World, failure

from signal_service.clients.errors import BreakerOpenError
from signal_service.store import outbox_worker
from signal_service.store.redis_link import RedisGoneError


def test_an_accepted_alert_reaches_both_receivers_once_and_leaves_the_outbox():
    async def main() -> None:
        world = World()
        accepted = await world.outbox.accept("bob", "k1", BODY, "ACME: rsi < 30")
        assert accepted.first
        assert await world.client.xlen(world.outbox.names.stream) == 1  # durable before the answer
        await world.work()
        for receiver in (world.alert, world.comms):
            assert receiver.seen == [accepted.alert_id]
            assert receiver.effects[accepted.alert_id] == {
                **BODY, "user": "bob", "text": "ACME: rsi < 30", "alert_id": accepted.alert_id,
            }  # fmt: skip
        assert await world.outbox.state() == {"undelivered": 0, "dead": 0, "reachable": True}
        assert world.worker.waiting == 0
        assert await world.client.hlen(world.outbox.names.progress) == 0
        assert len(world.events.of("outbox", event="delivered")) == 2

    run(main())


def test_failures_are_retried_for_ever_with_growing_waits_and_one_receiver_does_not_hold_up_the_other():
    async def main() -> None:
        world = World()
        world.comms.always = failure()
        accepted = await world.outbox.accept("bob", "k1", BODY)
        await world.work(rounds=200, seconds=31)
        assert world.alert.seen == [accepted.alert_id]
        assert len(world.comms.seen) >= 199
        assert (await world.outbox.state())["undelivered"] == 1
        world.comms.always = None
        await world.work(rounds=2, seconds=31)
        assert accepted.alert_id in world.comms.effects
        assert (await world.outbox.state())["undelivered"] == 0

    run(main())


def test_an_open_breaker_is_waited_for():
    async def main() -> None:
        world = World()
        world.comms.errors = [BreakerOpenError("comms", 12.0)]
        await world.outbox.accept("bob", "k1", BODY)
        await world.work(rounds=1)
        await world.work(rounds=11, seconds=1)
        assert len(world.comms.seen) == 1
        await world.work(rounds=2, seconds=1)
        assert len(world.comms.seen) == 2

    run(main())


def test_a_refusal_for_good_ends_in_a_visible_counted_dead_letter_and_the_other_receiver_still_gets_it():
    async def main() -> None:
        world = World()
        world.alert.always = failure("alert", 422)
        accepted = await world.outbox.accept("bob", "k1", BODY)
        await world.work(rounds=3, seconds=31)
        assert len(world.alert.seen) == 1
        assert accepted.alert_id in world.comms.effects
        assert await world.outbox.state() == {"undelivered": 0, "dead": 1, "reachable": True}
        told = {"alert_id": accepted.alert_id, "receiver": "alert", "error": "alert: client_error 422"}
        assert await world.outbox.dead_letters() == [told]
        assert world.events.of("outbox", event="dead", receiver="alert", alert_id=accepted.alert_id)

    run(main())


@pytest.mark.parametrize("junk", [{"alert": "{"}, {"alert": "[]"}, {"other": "x"}])
def test_an_entry_that_is_no_alert_ends_as_dead_letters_and_holds_nothing_up(junk: dict[str, str]):
    async def main() -> None:
        world = World()
        await world.client.xadd(world.outbox.names.stream, junk)  # type: ignore[arg-type]
        accepted = await world.outbox.accept("bob", "k1", BODY)
        await world.work()
        assert world.alert.seen == world.comms.seen == [accepted.alert_id]
        assert await world.outbox.state() == {"undelivered": 0, "dead": 2, "reachable": True}

    run(main())


def test_an_entry_that_is_damaged_on_its_way_is_read_again_and_delivered_as_it_was_written():
    async def main() -> None:
        world = World()
        accepted = await world.outbox.accept("bob", "k1", BODY)
        read, damaged = world.client.xreadgroup, []

        async def flipped(*words: Any, **more: Any) -> Any:
            reply = await read(*words, **more)
            streams = reply.values() if isinstance(reply, dict) else [stream[1] for stream in reply]
            for _, fields in (row for rows in streams for row in (rows[0] if isinstance(reply, dict) else rows)):
                fields[b"alert"] = fields[b"alert"].replace(b"bob", b"eve")
                damaged.append(fields)
            return reply

        world.client.xreadgroup = flipped  # type: ignore[method-assign]
        await world.work()
        assert damaged
        assert world.alert.seen == world.comms.seen == [accepted.alert_id]
        assert await world.outbox.state() == {"undelivered": 0, "dead": 0, "reachable": True}

    run(main())


def test_an_entry_that_is_damaged_in_the_store_is_not_delivered_but_a_dead_letter():
    async def main() -> None:
        world = World()
        await world.outbox.accept("bob", "k1", BODY)
        ((entry_id, fields),) = await world.client.xrange(world.outbox.names.stream)
        await world.client.xdel(world.outbox.names.stream, entry_id)
        altered = {b"alert": fields[b"alert"].replace(b"bob", b"eve"), b"sum": fields[b"sum"]}
        await world.client.xadd(world.outbox.names.stream, altered)  # type: ignore[arg-type]
        await world.work()
        assert world.alert.seen == world.comms.seen == []
        assert (await world.outbox.state())["dead"] == 2

    run(main())


def test_what_a_killed_process_left_is_delivered_by_the_next_and_what_was_settled_is_not_sent_again():
    async def main() -> None:
        world = World()
        world.comms.always = failure()
        ids = [(await world.outbox.accept("bob", f"k{n}", BODY)).alert_id for n in range(40)]
        await world.work(rounds=1)
        assert sorted(world.alert.seen) == sorted(ids)
        world.restart()  # nothing was said good-bye to
        world.comms.always = None
        await world.work(rounds=3, seconds=16)
        assert set(world.comms.effects) == set(ids)
        assert sorted(world.alert.seen) == sorted(ids)
        assert await world.outbox.state() == {"undelivered": 0, "dead": 0, "reachable": True}

    run(main())


@pytest.mark.parametrize("crash_at", range(1, 12))
def test_killed_at_any_command_an_accepted_alert_is_still_delivered_once_in_effect(crash_at: int):
    """The process dies at its n-th exchange with Redis; whether that one had its effect is tried both ways."""

    async def main(effective: bool) -> None:
        world = World()
        count = 0
        real = world.link.run

        class Killed(BaseException):
            pass

        async def run_(work: Any, timeout_s: float = 0.25) -> Any:
            nonlocal count
            count += 1
            if count == crash_at and not effective:
                raise Killed
            result = await real(work, timeout_s)
            if count == crash_at:
                raise Killed
            return result

        world.link.run = run_  # type: ignore[method-assign]
        world.comms.errors = [failure()]
        accepted: list[str] = []
        try:
            for number in range(2):
                accepted.append((await world.outbox.accept("bob", f"k{number}", BODY)).alert_id)
                await world.work(rounds=2, seconds=2)
        except Killed:
            pass
        world.restart()
        await world.work(rounds=4, seconds=31)
        assert set(accepted) <= set(world.alert.effects)
        assert set(world.alert.effects) == set(world.comms.effects)
        assert (await world.outbox.state())["undelivered"] == 0

    run(main(effective=True))
    run(main(effective=False))


def test_an_unknown_outcome_of_writing_a_dead_letter_down_does_not_count_it_twice():
    async def main() -> None:
        world = World()
        real = world.link.run
        lies = 3

        async def run_(work: Any, timeout_s: float = 0.25) -> Any:
            nonlocal lies
            result = await real(work, timeout_s)
            if world.alert.seen and lies:
                lies -= 1
                raise RedisGoneError  # it had its effect, and nobody learnt of it
            return result

        world.link.run = run_  # type: ignore[method-assign]
        world.alert.always = failure("alert", 400)
        await world.outbox.accept("bob", "k1", BODY)
        await world.work(rounds=10, seconds=1)
        assert await world.outbox.state() == {"undelivered": 0, "dead": 1, "reachable": True}
        assert len(world.comms.seen) == 1

    run(main())


def test_a_redis_that_lost_its_data_gets_a_new_group_and_delivery_goes_on():
    async def main() -> None:
        world = World()
        await world.outbox.accept("bob", "k1", BODY)
        await world.work()
        await world.client.flushall()
        accepted = await world.outbox.accept("bob", "k2", BODY)
        await world.work()
        assert accepted.alert_id in world.comms.effects

    run(main())


def test_entries_of_a_reply_that_was_lost_are_claimed_again_at_once_and_not_when_they_are_orphans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # How long an entry was idle is told by the server's own clock, which does not move here.
    monkeypatch.setattr(outbox_worker, "LOST_IDLE_S", 0.0)

    async def main() -> None:
        world = World()
        await world.work()
        run_ = world.link.run

        async def lost(work: Any, timeout_s: float = 1.0) -> Any:
            await run_(work, timeout_s)
            raise RedisGoneError  # it was read, and nobody learnt of it

        accepted = await world.outbox.accept("bob", "k1", BODY)
        world.link.run = lost  # type: ignore[method-assign]
        await world.worker.step()
        world.link.run = run_  # type: ignore[method-assign]
        await world.work(rounds=3, seconds=0.5)
        assert accepted.alert_id in world.comms.effects

    run(main())


def test_a_store_that_forgets_at_once_is_not_asked_without_end():
    async def main() -> None:
        world = World()
        await world.outbox.accept("bob", "k1", BODY)
        await world.work()
        more = []
        for number in range(6):
            await world.client.flushall()
            await world.outbox.accept("bob", f"k{number}", BODY)
            more.append(await world.worker.step())
        assert more == [True, False, False, False, False, False]
        await world.work()
        await world.client.flushall()
        await world.outbox.accept("bob", "last", BODY)
        assert await world.worker.step() is True

    run(main())


def test_the_worker_runs_until_it_is_drained_and_leaves_the_rest_in_the_stream():
    async def main() -> None:
        world = World()
        running = asyncio.ensure_future(world.worker.run())
        accepted = await world.outbox.accept("bob", "k1", BODY)
        for _ in range(500):
            if accepted.alert_id in world.comms.effects and not world.worker.waiting:
                break
            await asyncio.sleep(0)
        assert accepted.alert_id in world.comms.effects
        await world.worker.drain(1.0)
        assert running.done()
        await world.outbox.accept("bob", "k2", BODY)
        assert (await world.outbox.state())["undelivered"] == 1

    run(main())
