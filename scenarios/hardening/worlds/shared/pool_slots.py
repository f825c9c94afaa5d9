"""How many slots of the HTTP pools are in use in this very process: by the service's count, or by the pools' own."""

from __future__ import annotations

from typing import Any

from signal_service.clients import factory


def slots_in_use() -> int:
    """Summed over the four clients; none before they are made and after they are closed.

    A slot is lost when a call has ended and one of the two counts still holds it, so the larger one counts.
    """
    managers = factory._managers  # noqa: SLF001 - ``get_client_manager`` raises where there is none, and may not here
    return sum(_held(one) for manager in managers for one in manager.downstreams.values())


def _held(downstream: Any) -> int:
    if downstream._http is None:  # noqa: SLF001 - no public way
        return 0
    pool = downstream._http._transport._pool  # noqa: SLF001
    return max(int(pool._max_connections - downstream._slots._value), len(pool._requests))  # noqa: SLF001
