"""One freezegun freeze whose time is the simulation's: ``datetime`` and early imports of ``time`` follow the loop.

freezegun finds every module that imported a clock by name. Its own fakes inspect the call stack and round to
microseconds; ours are put in their place before it starts, so that ``time.monotonic()`` is exactly the loop's.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, Self

import freezegun
import freezegun.api as api

_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - freezegun's factories give naive UTC


class FrozenClock:
    """Freezes on enter; the clocks are the functions given, in seconds.

    Args:
        wall: seconds since 1970.
        monotonic: monotonic seconds.
    """

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._fakes: dict[str, Any] = {
            "fake_time": wall,
            "fake_time_ns": lambda: round(wall() * 1e9),
            "fake_monotonic": monotonic,
            "fake_monotonic_ns": lambda: round(monotonic() * 1e9),
            "fake_perf_counter": monotonic,
            "fake_perf_counter_ns": lambda: round(monotonic() * 1e9),
        }
        self._before: dict[str, Any] = {}
        self._freezer: Any = None

    def __enter__(self) -> Self:
        for name, fake in self._fakes.items():
            self._before[name] = getattr(api, name)
            setattr(api, name, _named(name, fake))
        self._freezer = freezegun.freeze_time("2026-01-01", real_asyncio=False)
        self._freezer.start()
        api.freeze_factories[-1] = _Now(self._wall)  # type: ignore[call-overload]
        return self

    def __exit__(self, *exc: object) -> None:
        self._freezer.stop()
        for name, fake in self._before.items():
            setattr(api, name, fake)


class _Now:
    """What freezegun asks for the time."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall

    def __call__(self) -> datetime.datetime:
        return _EPOCH + datetime.timedelta(seconds=self._wall())


def _named(name: str, fake: Callable[[], Any]) -> Callable[[], Any]:
    """Freezegun tells its fakes by name and identity, so each needs a name and an object of its own."""

    def clock() -> Any:
        return fake()

    clock.__name__ = name
    return clock
