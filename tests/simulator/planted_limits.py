# ruff: noqa: ANN001, ANN202, ANN204, SIM105 - programs under test are written as anybody would write them
"""Programs with one planted bug each, and their correct twins: permits, rates, breakers, retries, pools."""

import asyncio
from collections import deque


async def permit_leak(t, *, broken):
    """A permit comes back whatever happens to who took it."""
    permits = asyncio.Semaphore(2)

    async def client():
        await t.io(0.0, 0.05)
        await permits.acquire()
        if broken:
            await t.io(0.0, 0.01)
        try:
            await t.io(0.01, 0.05)
        finally:
            permits.release()

    await asyncio.gather(*(asyncio.create_task(client(), name=f"client-{i}") for i in range(4)), return_exceptions=True)
    assert permits._value == 2


async def check_then_take(t, *, broken):
    """Never more in flight than the limit."""
    flying = [0]

    async def client():
        await t.io(0.0, 1.0)
        if flying[0] >= 2:
            return
        if broken:
            await t.io(0.001, 0.02)
        flying[0] += 1
        assert flying[0] <= 2
        await t.io(0.01, 0.2)
        flying[0] -= 1

    await asyncio.gather(*(client() for _ in range(4)))


async def many_probes(t, *, broken):
    """Half-open lets exactly one probe through."""
    state, probing, probes = ["open"], [False], [0]

    async def call():
        await t.io(0.0, 2.0)
        if state[0] == "open":
            if asyncio.get_running_loop().time() - opened < 1.0:
                return
            state[0] = "half_open"
        if state[0] == "half_open":
            if probing[0] and not broken:
                return
            probing[0] = True
            probes[0] += 1
            assert probes[0] == 1
            await t.io(0.01, 0.1)
            probes[0] -= 1
            probing[0], state[0] = False, "closed"

    opened = asyncio.get_running_loop().time()
    await asyncio.gather(*(call() for _ in range(4)))


async def stuck_breaker(t, *, broken):
    """A cancelled probe gives its lease back."""
    lease = [False]

    async def probe():
        await t.io(0.0, 0.1)
        if lease[0]:
            return
        lease[0] = True
        if broken:
            try:
                await t.io(0.01, 0.1)
            except OSError:
                pass
            lease[0] = False
        else:
            try:
                await t.io(0.01, 0.1)
            finally:
                lease[0] = False

    clients = [asyncio.create_task(probe(), name=f"client-{i}") for i in range(3)]
    await asyncio.gather(*clients, return_exceptions=True)
    assert not lease[0]


async def late_success(t, *, broken):
    """An answer from before the opening does not close the breaker."""
    state, generation = ["closed"], [0]

    async def slow_success():
        mine = generation[0]
        await t.io(0.01, 1.0)
        if broken or generation[0] == mine:
            state[0] = "closed"

    async def failures():
        for _ in range(3):
            await t.io(0.05, 0.2)
        state[0] = "open"
        generation[0] += 1
        opened.append(1)

    opened = []
    await asyncio.gather(slow_success(), failures())
    assert state[0] == "open"


async def lost_update(t, *, broken):
    """Two increments make two."""
    count, lock = [0], asyncio.Lock()

    async def add():
        await t.io(0.0, 1.0)
        if broken:
            seen = count[0]
            await t.io(0.005, 0.02)
            count[0] = seen + 1
        else:
            async with lock:
                seen = count[0]
                await t.io(0.005, 0.02)
                count[0] = seen + 1

    first = asyncio.create_task(add())
    await asyncio.sleep(0.05)
    await asyncio.gather(first, add())
    assert count[0] == 2


async def double_refill(t, *, broken):
    """A bucket is refilled once for each interval."""
    loop = asyncio.get_running_loop()
    bucket = {"tokens": 0, "at": loop.time()}

    async def refill():
        await t.io(1.0, 3.0)
        whole = int(loop.time() - bucket["at"])
        if broken:
            await t.io(0.001, 0.05)
            bucket["tokens"] += whole
            bucket["at"] += whole
        else:
            bucket["tokens"] += whole
            bucket["at"] += whole
            await t.io(0.001, 0.05)

    began = loop.time()
    await asyncio.gather(refill(), refill())
    assert bucket["tokens"] <= int(loop.time() - began)


async def backoff_overflow(t, *, broken):
    """No wait of a retry is longer than its cap."""
    failures = t.draw(0, 9)
    waits = []
    for attempt in range(failures):
        wait = 0.2 * 2**attempt
        waits.append(wait if broken else min(wait, 20.0))
        await asyncio.sleep(waits[-1])
    assert all(wait <= 20.0 for wait in waits)


async def charged_twice(t, *, broken):
    """A call that timed out is repeated only under its idempotency key."""
    charges, seen = [], set()

    async def server(key):
        await t.io(0.001, 0.1)
        if not broken and key in seen:
            return
        seen.add(key)
        charges.append(key)
        await t.io(0.001, 0.6)

    async def client():
        for _ in range(2):
            try:
                await asyncio.wait_for(asyncio.shield(asyncio.create_task(server("a"))), 0.5)
            except TimeoutError:
                continue
            return

    await client()
    await asyncio.sleep(2)
    assert len(charges) == 1


class _Wire:
    """A connection that answers in order."""

    def __init__(self, t):
        self.t, self.unread = t, deque()

    async def ask(self, word):
        self.unread.append(word)
        await self.t.io(0.001, 0.05)
        return self.unread.popleft()


async def pool_desync(t, *, broken):
    """A connection with an unread answer does not go back to the pool."""
    pool = [_Wire(t)]

    async def client(word):
        await t.io(0.0, 0.1)
        wire = pool.pop() if pool else _Wire(t)
        clean = False
        try:
            got = await wire.ask(word)
            clean = True
        finally:
            if broken or clean:
                pool.append(wire)
        assert got == word, "somebody else's answer"

    clients = [asyncio.create_task(client(f"w{i}"), name=f"client-{i}") for i in range(3)]
    for result in await asyncio.gather(*clients, return_exceptions=True):
        if isinstance(result, AssertionError):
            raise result


async def window_over_limit(t, *, broken):
    """Never more than two admitted in any second."""
    loop, admitted = asyncio.get_running_loop(), deque()
    log = []

    async def client():
        await t.io(0.0, 3.0)
        while admitted and admitted[0] <= loop.time() - 1.0:
            admitted.popleft()
        if len(admitted) >= 2:
            return
        if broken:
            await t.io(0.001, 0.05)
        admitted.append(loop.time())
        log.append(loop.time())

    await asyncio.gather(*(client() for _ in range(5)))
    log.sort()
    assert all(log[i + 2] - log[i] >= 1.0 - 1e-9 for i in range(len(log) - 2))


PLANTED = {
    "permit_leak": (permit_leak, "client-*"),
    "check_then_take": (check_then_take, None),
    "many_probes": (many_probes, None),
    "stuck_breaker": (stuck_breaker, "client-*"),
    "late_success": (late_success, None),
    "lost_update": (lost_update, None),
    "double_refill": (double_refill, None),
    "backoff_overflow": (backoff_overflow, None),
    "charged_twice": (charged_twice, None),
    "pool_desync": (pool_desync, "client-*"),
    "window_over_limit": (window_over_limit, None),
}
