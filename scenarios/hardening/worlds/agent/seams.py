"""The seams the agent patches in its process: the wall clock, host name look-up, and sight of the event loop.

Why the wall clock is patched here and not by freezegun or libfaketime: freezegun moves the monotonic clock too,
which a jump of the wall clock never does, and replaces ``datetime`` under libraries that compare types;
libfaketime wants the environment of the process before it starts and a library that is seldom there. A process
that takes its wall clock from ``time.time`` needs neither. ``datetime.now()`` without a seam escapes this clock.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

_LOOPBACK = "127.0.0.1"
_ANSWER_S_MAX = 30.0
_FAILURES = {"not_found": socket.EAI_NONAME, "try_again": socket.EAI_AGAIN}


class WallClock:
    """``time.time`` and ``time.time_ns``, off by an offset that may grow."""

    def __init__(self) -> None:
        self._time: Callable[[], float] = time.time
        self._time_ns: Callable[[], int] = time.time_ns
        self._jump_s = 0.0
        self._rate = 1.0
        self._since_s = time.monotonic()
        self.reads = 0

    def install(self) -> None:
        """Patch; to be called before anything takes ``time.time`` away."""
        time.time = self._now
        time.time_ns = self._now_ns

    def offset_s(self) -> float:
        """How far it is off now."""
        if self._rate == 1.0:
            return self._jump_s
        return self._jump_s + (self._rate - 1.0) * (time.monotonic() - self._since_s)

    def move(self, offset_s: float, rate: float) -> None:
        """Set it off, from now on."""
        self._jump_s, self._rate, self._since_s, self.reads = offset_s, rate, time.monotonic(), 0

    def _now(self) -> float:
        self.reads += 1
        return self._time() + self.offset_s()

    def _now_ns(self) -> int:
        self.reads += 1
        return self._time_ns() + int(self.offset_s() * 1e9)


class MovedClock:
    """The wall clock jumped by ``offset_s`` and running ``rate`` times as fast."""

    def __init__(self, clock: WallClock, offset_s: float = 0.0, rate: float = 1.0) -> None:
        self._clock = clock
        clock.move(offset_s, rate)

    def says(self) -> Mapping[str, Any]:
        """The offset now."""
        return {"means": "time.time", **self.reading()}

    def reading(self) -> Mapping[str, float]:
        """The offset now, and how often the moved clock was read."""
        return {"offset_s": self._clock.offset_s(), "reads": self._clock.reads}

    def release(self) -> Mapping[str, float]:
        """Back to the truth."""
        counts = self.reading()
        self._clock.move(0.0, 1.0)
        return counts


class Lookups:
    """``socket.getaddrinfo``, which every event loop calls on a thread; names can be made to fail.

    Names below ``.localhost`` mean loopback (RFC 6761): ``ticker.localhost`` is a name that can be broken
    without touching any other.
    """

    def __init__(self) -> None:
        self._real: Callable[..., Any] = socket.getaddrinfo
        self.broken: dict[str, tuple[str, float]] = {}
        self.hurt: dict[str, int] = {}

    def install(self) -> None:
        """Patch."""
        socket.getaddrinfo = self._look_up

    def _look_up(self, host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        name = name.rstrip(".").lower()
        failure = self.broken.get(name)
        if failure is not None:
            how, delay_s = failure
            self.hurt[name] = self.hurt.get(name, 0) + 1
            time.sleep(delay_s)
            if how in _FAILURES:
                raise socket.gaierror(_FAILURES[how], f"{how} (injected): {name}")
        return self._real(_LOOPBACK if name.endswith(".localhost") else host, *args, **kwargs)


class NameFailure:
    """Look-ups of one name fail or are slow."""

    def __init__(self, lookups: Lookups, name: str, how: str, delay_s: float = 0.0) -> None:
        if how not in {*_FAILURES, "slow"}:
            raise ValueError(f"how is {how!r}, allowed: {', '.join(_FAILURES)}, slow")
        self._lookups = lookups
        self._name = name.rstrip(".").lower()
        lookups.hurt[self._name] = 0
        lookups.broken[self._name] = (how, delay_s)

    def says(self) -> Mapping[str, Any]:
        """Which name."""
        return {"means": "socket.getaddrinfo", "name": self._name}

    def reading(self) -> Mapping[str, float]:
        """Look-ups hurt so far."""
        return {"lookups_hurt": self._lookups.hurt[self._name]}

    def release(self) -> Mapping[str, float]:
        """Look it up as before."""
        self._lookups.broken.pop(self._name, None)
        return self.reading()


class LoopWatch:
    """Knows the event loop that runs in this process, and can block it."""

    def __init__(self) -> None:
        self._running: list[weakref.ref[asyncio.AbstractEventLoop]] = []
        self._lag_ms = 0.0
        self._lock = threading.Lock()

    def install(self) -> None:
        """Note each loop when it begins to run."""
        run_forever = asyncio.BaseEventLoop.run_forever
        running = self._running

        def noted(loop: asyncio.BaseEventLoop) -> None:
            running.append(weakref.ref(loop))
            run_forever(loop)

        asyncio.BaseEventLoop.run_forever = noted  # type: ignore[method-assign, assignment]

    def _loop(self) -> asyncio.AbstractEventLoop:
        for reference in reversed(self._running):
            loop = reference()
            if loop is not None and loop.is_running():
                return loop
        raise RuntimeError("no asyncio event loop runs in this process")

    def stall(self, seconds: float, busy: bool = False) -> float:
        """Block it once; returns how late a callback of ours ran, in ms. ``busy`` burns the processor meanwhile."""
        loop = self._loop()
        began, ran = threading.Event(), threading.Event()

        def block() -> None:
            began.set()
            end_s = time.perf_counter() + seconds
            if not busy:
                time.sleep(seconds)  # asyncio's own thread sleeps: that is the fault
            while time.perf_counter() < end_s:
                pass

        loop.call_soon_threadsafe(block)
        if not began.wait(_ANSWER_S_MAX):
            raise TimeoutError("the event loop never took the callback that was to block it")
        asked_s = time.perf_counter()
        loop.call_soon_threadsafe(ran.set)
        if not ran.wait(seconds + _ANSWER_S_MAX):
            raise TimeoutError("the event loop did not come back")
        lag_ms = (time.perf_counter() - asked_s) * 1000
        with self._lock:
            self._lag_ms = max(self._lag_ms, lag_ms)
        return lag_ms

    def take_lag_ms(self) -> float:
        """The largest lag since the last call: of stalls, and of one callback sent now."""
        ran = threading.Event()
        asked_s = time.perf_counter()
        self._loop().call_soon_threadsafe(ran.set)
        ran.wait(_ANSWER_S_MAX)
        now_ms = (time.perf_counter() - asked_s) * 1000
        with self._lock:
            lag_ms, self._lag_ms = max(self._lag_ms, now_ms), 0.0
        return lag_ms
