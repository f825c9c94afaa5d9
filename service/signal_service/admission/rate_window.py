"""The rate: never more than N accepted in any sliding window, exactly, on the monotonic clock.

A ring of the last admission times. The oldest one says when the next slot is free, so a client that waits as told
gets in. A bucket would be cheaper to explain and wrong: it lets a burst through on top of the N.
"""

from __future__ import annotations

from collections import deque


class RateWindow:
    """The admission times of the last ``window_s`` seconds, at most ``capacity`` of them.

    Two steps, ``wait_s`` and ``record``, so that a caller can take slot and permit together or neither.
    """

    def __init__(self, capacity: int, window_s: float) -> None:
        self._capacity = capacity
        self._window_s = window_s
        self._times: deque[float] = deque()

    def wait_s(self, now: float) -> float:
        """Seconds until a slot is free; 0.0 when one is free at ``now``."""
        times = self._times
        while times and times[0] + self._window_s <= now:
            times.popleft()
        excess = len(times) - self._capacity
        if excess < 0:
            return 0.0
        # After a reload to a smaller capacity more than one has to leave before a slot is free.
        return times[excess] + self._window_s - now

    def record(self, now: float) -> int:
        """Take a slot at ``now``; returns how many the window holds with it.

        Only after ``wait_s(now)`` said 0.0: taking a slot that is not there is a bug of ours.
        """
        assert len(self._times) < self._capacity, "a rate slot was taken that was not free"
        self._times.append(now)
        return len(self._times)

    def resize(self, capacity: int, window_s: float) -> None:
        """New figures from now on; what was admitted before still counts."""
        self._capacity = capacity
        self._window_s = window_s

    def __len__(self) -> int:
        return len(self._times)
