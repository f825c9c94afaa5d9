"""Broken caches."""

from __future__ import annotations

from typing import Any

from scenarios.sabotage.patching import put
from service.cache import Cache


class _Forgetful(dict[str, Any]):
    """A lock table in which nothing is ever found."""

    def get(self, key: str, default: Any = None) -> Any:
        return default


def no_lock_per_key() -> None:
    """Each caller of a missing key loads it for itself: the stampede that the lock was for."""
    init = Cache.__init__

    def without_locks(self: Cache[Any], *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self._flights = _Forgetful()

    put(Cache, "__init__", without_locks)
