"""A hundred thousand keys: entries that lie ready in Redis, and what is asked beside them.

An entry in the service's own format costs a look-up one read; a key without one costs a call of the ticker. So
most keys are written beforehand, and some are left cold.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from redis.asyncio import Redis

from hardening.history.workload import Operation
from hardening.worlds.shared.market import SeededMarket
from signal_service.store.cache_entry import pack

KEYS_A_BATCH = 100
"""As many symbols as the service takes at once."""
COLD_EVERY = 250
"""Of so many keys one is cold; its entry is as long as the ticker's answer, fifty times the others'."""
BARS = 4
BAR_KINDS = 97
AT_ONCE = 2000
WRITE = "for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1]) end"
"""One script, one answer: a hundred thousand answers would take longer than the writing."""
VERSION = 1


@dataclass(frozen=True, slots=True)
class Keys:
    """The symbols of a soak, by number; none is asked for twice.

    Attributes:
        seed: of the candles.
        keep_s: seconds for which the service keeps an entry (its TTL and its grace).
        prefix: of the service's keys in Redis.
    """

    seed: int
    keep_s: float
    prefix: str = "signal:cache:"

    def symbol(self, number: int) -> str:
        """The symbol of a number."""
        return f"{'COLD' if self.cold(number) else 'KEY'}{number}"

    def cold(self, number: int) -> bool:
        """Whether the ticker has to be asked for it."""
        return number % COLD_EVERY == COLD_EVERY - 1

    async def fill(self, url: str, count: int, now_s: float) -> None:
        """Write the entries of the first ``count`` keys that are not cold, fresh from now on.

        Raises:
            RedisError: when the server does not take them.
        """
        client = Redis.from_url(url, socket_timeout=30.0, protocol=2)
        write = client.register_script(WRITE)
        keep_ms = int(self.keep_s * 1000)
        try:
            for first in range(0, count, AT_ONCE):
                entries = list(self._entries(first, min(first + AT_ONCE, count), now_s))
                names = [self.prefix + key for key, _ in entries]
                await write(keys=names, args=[keep_ms, *(raw for _, raw in entries)])
        finally:
            await client.aclose()

    def _entries(self, first: int, end: int, now_s: float) -> Iterator[tuple[str, bytes]]:
        kinds = [self._bars(kind, now_s) for kind in range(BAR_KINDS)]
        for number in range(first, end):
            if not self.cold(number):
                key = f"candles:{self.symbol(number)}:1m"
                yield key, pack(key, VERSION, self.keep_s, kinds[number % BAR_KINDS])

    def _bars(self, kind: int, now_s: float) -> list[list[float]]:
        bars = SeededMarket(self.seed).candles(f"KIND{kind}", "1m", BARS, now_s) or []
        return [[bar[name] for name in "tohlcv"] for bar in bars]

    def batch(self, first: int) -> Operation:
        """Ask for ``KEYS_A_BATCH`` keys from ``first`` on, all at once."""
        symbols = [self.symbol(number) for number in range(first, first + KEYS_A_BATCH)]
        body = {"symbols": symbols, "indicators": ["sma"]}
        return Operation(0, "batch", "POST", "/v2/signals/batch", "high", "low", body=body)


def scrape() -> Operation:
    """``/metrics``, as Prometheus asks for it."""
    return Operation(0, "metrics", path="/metrics", key="scraper", priority="critical")


def oddity(number: int, seed: int) -> Operation:
    """A request with a path, symbol, key, method or argument of its own: what a careless label would keep for ever."""
    word = f"{random.Random(f'oddity-{seed}-{number}').getrandbits(64):016x}"
    kinds = (
        Operation(0, "signal", path=f"/no/such/{word}", key="demo"),
        Operation(0, "signal", path=f"/v2/signals/X{word[:12].upper()}?timeframe={word}", key="demo"),
        Operation(0, "signal", path="/v2/signals/AAPL", headers={"X-API-Key": f"sk_{word}{word}"}, sends="wrong"),
        Operation(0, "signal", f"M{word.upper()}", "/v2/signals/AAPL", "demo"),
        Operation(0, "alert", "POST", "/v2/alerts", "reader", headers={"Idempotency-Key": word}, sends="other_scope"),
        Operation(0, "health", path=f"/health?{word}={number}", priority="critical", sends="none"),
    )
    return kinds[number % len(kinds)]
