"""What libraries remember of every application that a process makes: let go of between runs.

FastAPI classifies each endpoint once and keeps the endpoint, in a cache of thousands. One application for each
process never notices; thousands of simulated services in one process would all stay, with their histories.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

PACKAGES = ("fastapi", "starlette")
_CACHE = type(functools.lru_cache(len))


def _caches() -> Iterator[Any]:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in PACKAGES:
            # ``vars``: asking by name would run what a library computes for names that it deprecates.
            yield from (item for item in vars(module).values() if isinstance(item, _CACHE))


def forget_applications() -> None:
    """Empty those caches; whoever asks again pays a few microseconds for each endpoint."""
    for cache in _caches():
        cache.cache_clear()
