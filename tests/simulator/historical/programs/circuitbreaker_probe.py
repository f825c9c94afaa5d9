# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""circuitbreaker: while a downstream never succeeds, its circuit does not close again."""

import asyncio

from sound import Refused, SoundBreaker

from hardening.simulator import io


async def down():
    await io(0.01, 0.1)
    raise OSError("down")


async def clients(call, state):
    opened = []

    async def client():
        for _ in range(4):
            await io(0.0, 1.5)
            try:
                await call()
            except (OSError, Refused, *REFUSALS):
                pass
            if state() != "closed":
                opened.append(1)
            assert not opened or state() != "closed", "closed without a success"

    tasks = [asyncio.create_task(client(), name=f"client-{n}") for n in range(3)]
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, AssertionError):
            raise outcome
    assert not opened or state() != "closed", "closed without a success"


async def program():
    import circuitbreaker

    REFUSALS[:] = [circuitbreaker.CircuitBreakerError]
    breaker = circuitbreaker.CircuitBreaker(failure_threshold=2, recovery_timeout=1, expected_exception=OSError)
    await clients(breaker.decorate(down), lambda: breaker.state)


async def twin():
    breaker = SoundBreaker(2, 1.0)
    await clients(lambda: breaker.call(down), lambda: breaker.state)


REFUSALS = []
