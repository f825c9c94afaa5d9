"""Any order of callers, slow loads, writes, invalidations, cancellations, outages and time, against a small model."""

from __future__ import annotations

import asyncio
from typing import Any

from back_world import Clock, Events, make_cache, pass_time
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from signal_service.store.redis_link import RedisGoneError

KEYS = st.sampled_from(["a", "b"])


class Load:
    """A load under way: it saw the truth when it began, and answers when it is let."""

    def __init__(self, key: str, value: int) -> None:
        self.key = key
        self.value = value
        self.answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()


class CacheMachine(RuleBasedStateMachine):
    """The truth of a key is a number that grows with every write and invalidation."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.lost: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: self.lost.append(context))
        self.clock, self.events = Clock(), Events()
        self.truth = 0
        self.floor = {"a": 0, "b": 0}
        self.loads: list[Load] = []
        self.callers: list[tuple[asyncio.Task[Any], str, int]] = []
        self.down = False
        self.cancelled: set[asyncio.Task[Any]] = set()
        self.loop.run_until_complete(self.begin())

    async def begin(self) -> None:
        self.cache, self.link, self.client = make_cache(self.clock, self.events)
        real = self.link.run

        async def run(work: Any, timeout_s: float = 0.25) -> Any:
            self.link.up = not self.down
            if self.down:
                raise RedisGoneError
            return await real(work, timeout_s)

        self.link.run = run  # type: ignore[method-assign]

    async def settle(self) -> None:
        for _ in range(80):
            await asyncio.sleep(0)

    def turn(self, *work: Any) -> None:
        async def main() -> None:
            for one in work:
                await one
            await self.settle()

        self.loop.run_until_complete(main())
        self.check()

    def check(self) -> None:
        for caller in [caller for caller in self.callers if caller[0].done()]:
            self.callers.remove(caller)
            task, _, floor = caller
            if task.cancelled():
                assert task in self.cancelled, "cancelled by somebody else's cancellation"
                continue
            if isinstance(task.exception(), OSError):
                continue
            found = task.result()
            assert found.value >= floor, "an answer older than a write that was complete before it was asked for"
            assert found.source != "cache" or found.age_s < 60

    async def load(self, key: str) -> int:
        load = Load(key, self.truth)
        self.loads.append(load)
        try:
            return await load.answer
        finally:
            self.loads.remove(load)

    @rule(key=KEYS, count=st.integers(1, 3))
    def get(self, key: str, count: int) -> None:
        async def ask() -> None:
            for _ in range(count):
                task = asyncio.ensure_future(self.cache.get(key, lambda: self.load(key)))
                self.callers.append((task, key, self.floor[key]))

        self.turn(ask())

    @precondition(lambda self: self.loads)
    @rule(index=st.integers(0, 9), fails=st.booleans())
    def answer(self, index: int, fails: bool) -> None:
        load = self.loads[index % len(self.loads)]

        async def finish() -> None:
            if load.answer.done():
                return
            if fails:
                load.answer.set_exception(OSError("down"))
            else:
                load.answer.set_result(load.value)

        self.turn(finish())

    @precondition(lambda self: self.callers)
    @rule(index=st.integers(0, 9))
    def cancel(self, index: int) -> None:
        task = self.callers[index % len(self.callers)][0]
        self.cancelled.add(task)
        self.turn(asyncio.sleep(0, task.cancel()))

    @rule(key=KEYS)
    def put(self, key: str) -> None:
        self.truth += 1
        value = self.truth
        self.turn(self.cache.put(key, value))
        self.floor[key] = value

    @rule(key=KEYS)
    def invalidate(self, key: str) -> None:
        self.truth += 1
        value = self.truth
        self.turn(self.cache.invalidate(key))
        self.floor[key] = value

    @rule(down=st.booleans())
    def outage(self, down: bool) -> None:
        self.down = down

    @rule(seconds=st.sampled_from([0.5, 1.5, 59.0, 61.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.turn(pass_time(self.clock, self.client, seconds))

    @rule(key=KEYS, junk=st.binary(max_size=30))
    def corrupt(self, key: str, junk: bytes) -> None:
        self.turn(self.client.set(f"signal:cache:{key}", junk, px=60_000))

    @rule(key=KEYS)
    def peek(self, key: str) -> None:
        async def look() -> None:
            floor = self.floor[key]
            found = await self.cache.peek(key)
            assert found is None or found.value >= floor
            assert found is None or found.age_s < 360

        self.turn(look())

    @invariant()
    def one_load_a_key(self) -> None:
        assert len({load.key for load in self.loads}) == len(self.loads)

    @invariant()
    def no_more_locks_than_keys_that_callers_wait_for(self) -> None:
        assert self.cache.locks == len({key for _, key, _ in self.callers})

    def teardown(self) -> None:
        for _ in range(10):
            for load in list(self.loads):
                if not load.answer.done():
                    load.answer.set_result(load.value)
            self.turn()
        try:
            assert not self.callers
            assert self.cache.locks == 0
            assert not asyncio.all_tasks(self.loop)
            assert not self.lost
            self.loop.run_until_complete(self.link.aclose())
        finally:
            self.loop.close()


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
