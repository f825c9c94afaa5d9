# ruff: noqa: ANN001, ANN202, ANN204, SIM105 - programs under test are written as anybody would write them
"""aiobreaker: a downstream that was down is tried by one caller at a time until it answers."""

import asyncio
import datetime

from sound import Refused, SoundBreaker

from hardening.simulator import always, io


class Downstream:
    """Down for the first five seconds; slow."""

    def __init__(self):
        self.up_s = asyncio.get_running_loop().time() + 5.0
        self.answered, self.flying, self.opened = False, 0, False
        always("no herd on a downstream that was down", lambda: not self.opened or self.answered or self.flying <= 1)

    async def call(self):
        self.flying += 1
        try:
            await io(0.05, 0.3)
            if asyncio.get_running_loop().time() < self.up_s:
                raise OSError("down")
            self.answered = True
        finally:
            self.flying -= 1


async def clients(downstream, call, refusals, is_open):
    async def client():
        for _ in range(10):
            await io(0.0, 2.0)
            try:
                await call()
            except refusals:
                pass
            # Calls from before the opening may still be in flight; after a second they are not.
            if is_open() and not downstream.opened:
                await asyncio.sleep(1.0)
                downstream.opened = True

    await asyncio.gather(*(client() for _ in range(4)))


async def program():
    import aiobreaker

    breaker = aiobreaker.CircuitBreaker(fail_max=2, timeout_duration=datetime.timedelta(seconds=1.5))
    downstream = Downstream()
    await clients(
        downstream,
        lambda: breaker.call_async(downstream.call),
        (OSError, aiobreaker.CircuitBreakerError),
        lambda: breaker.current_state is aiobreaker.CircuitBreakerState.OPEN,
    )


async def twin():
    breaker = SoundBreaker(2, 1.5)
    downstream = Downstream()
    await clients(
        downstream, lambda: breaker.call(downstream.call), (OSError, Refused), lambda: breaker.state == "open"
    )
