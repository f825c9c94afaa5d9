"""Bytes arrive late: latency and jitter in ms, counted from the arrival of each chunk; throughput is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hardening.toxics.base import KIB, MS, Attribute, Timed, Toxic


class Latency(Toxic):
    """Delays bytes by ``latency`` +/- ``jitter`` ms from the moment they arrived; throughput is kept."""

    type: ClassVar[str] = "latency"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {"latency": Attribute(int), "jitter": Attribute(int)}
    retimes: ClassVar[bool] = True
    window_bytes: ClassVar[int] = 32 * KIB * KIB

    __slots__ = ()

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """One draw per chunk; the chain keeps chunks in order."""
        delay_ms: float = self.attributes["latency"]
        jitter = self.attributes["jitter"]
        if jitter > 0:
            delay_ms += self.rng.randrange(2 * jitter) - jitter
        return [Timed(now + max(delay_ms, 0) * MS, data)]
