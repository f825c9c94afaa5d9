"""Lost and retransmitted segments: a probability per segment of 1,460 bytes, retransmission timers in ms."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import KIB, MS, Attribute, Tally, Timed, Toxic

SEGMENT_BYTES = 1460


class Loss(Toxic):
    """Packet loss as a stream feels it: a lost segment stalls all behind it until it is sent again.

    Each segment of 1,460 bytes is lost with ``probability``; the first retransmission comes after ``delay`` ms,
    each further one after twice the wait before (as TCP's timer does). Draws follow byte offsets, not chunks, so
    that they repeat however the bytes were cut by the network.
    """

    type: ClassVar[str] = "loss"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {
        "probability": Attribute(float, 0.01, low=0, high=1),
        "delay": Attribute(int, 200, low=0),
        "attempts": Attribute(int, 6, low=1, high=15),
    }
    window_bytes: ClassVar[int] = 1024 * KIB

    __slots__ = ("offset",)

    def __init__(self, attributes: Mapping[str, Any], rng: Random, tally: Tally, memory: Tally) -> None:
        super().__init__(attributes, rng, tally, memory)
        self.offset = 0

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """Runs of unharmed segments go together."""
        result: list[Timed] = []
        run_start, position, at = 0, 0, now
        while position < len(data):
            if self.offset % SEGMENT_BYTES == 0:
                wait_s = self._lost_for_s()
                if wait_s and position > run_start:
                    result.append(Timed(at, data[run_start:position]))
                    run_start = position
                at = max(at, now + wait_s)
            step = min(SEGMENT_BYTES - self.offset % SEGMENT_BYTES, len(data) - position)
            position += step
            self.offset += step
        result.append(Timed(at, data[run_start:]))
        return result

    def _lost_for_s(self) -> float:
        """How long the segment that begins here stays away; after ``attempts`` losses it gets through."""
        wait, timer = 0.0, self.attributes["delay"] * MS
        for _ in range(self.attributes["attempts"]):
            if self.rng.random() >= self.attributes["probability"]:
                break
            self.tally.count("lost_segments")
            wait += timer
            timer *= 2
        return wait
