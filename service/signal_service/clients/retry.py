"""Retries: full jitter, never past the deadline, under a budget that keeps an outage from being multiplied."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from signal_service.clients.errors import DownstreamError
from signal_service.config.settings import Retry

T = TypeVar("T")


class RetryBudget:
    """How many retries one downstream may still get: a share of the calls of the last seconds, and a minimum.

    Args:
        settings: ``budget_share``, ``budget_min``, ``budget_window_s``.
        monotonic: seconds.
    """

    def __init__(self, settings: Retry, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._calls: deque[float] = deque()
        self._retries: deque[float] = deque()

    def apply(self, settings: Retry) -> None:
        """Take new settings."""
        self._settings = settings

    def called(self) -> None:
        """Note one call."""
        self._forget()
        self._calls.append(self._monotonic())

    @property
    def left(self) -> bool:
        """True when one more retry may be sent now."""
        self._forget()
        allowed = max(self._settings.budget_min, self._settings.budget_share * len(self._calls))
        return len(self._retries) + 1 <= allowed

    def take(self) -> bool:
        """Take one retry at the moment it is sent; False when there is none."""
        if not self.left:
            return False
        self._retries.append(self._monotonic())
        return True

    def _forget(self) -> None:
        since_s = self._monotonic() - self._settings.budget_window_s
        for times in (self._calls, self._retries):
            while times and times[0] <= since_s:
                times.popleft()


def full_jitter(settings: Retry, rng: random.Random, attempt: int) -> float:
    """Seconds before the attempt after ``attempt`` (from 1): uniform up to ``base_s`` doubled each time, capped."""
    return rng.uniform(0.0, min(settings.cap_s, settings.base_s * 2.0 ** (attempt - 1)))


async def with_retries(
    attempt: Callable[[int, float], Awaitable[T]],
    *,
    retries: int,
    settings: Retry,
    budget: RetryBudget,
    rng: random.Random,
    left_s: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    may_go_on: Callable[[], bool],
) -> T:
    """Run ``attempt(number, wait_s)`` until it succeeds or another one makes no sense; raises its last error.

    Args:
        attempt: one attempt; ``number`` counts from 1, ``wait_s`` is the wait that came before it.
        retries: further attempts after the first.
        settings: the waits.
        budget: asked before the wait, and charged when the retry is sent.
        rng: draws the jitter.
        left_s: seconds until the deadline; a wait that would end past it is not begun.
        sleep: waits.
        may_go_on: False when the breaker opened or the caller went away meanwhile.

    Raises:
        DownstreamError: of the last attempt.
    """
    number, wait_s = 0, 0.0
    while True:
        number += 1
        try:
            return await attempt(number, wait_s)
        except DownstreamError as error:
            if not error.retryable or number > retries or not may_go_on() or not budget.left:
                raise
            wait_s = full_jitter(settings, rng, number)
            if wait_s >= left_s():
                raise
            await sleep(wait_s)
            if not (may_go_on() and budget.take()):
                raise
