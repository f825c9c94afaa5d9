"""One stream of events, several listeners: the log, the counters, the audit.

A counter in ``/metrics`` and the event in the log come from the same call, so they cannot disagree.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from signal_service.context import current_request
from signal_service.seams import EmitEvent

log = logging.getLogger(__name__)

Listener = Callable[[str, str, dict[str, Any]], None]
"""Takes the event's name, the request's id and the fields."""


class EventBus:
    """An ``EmitEvent`` that hands each event to the log first and then to the listeners of that event."""

    def __init__(self, sink: EmitEvent) -> None:
        self._sink = sink
        self._listeners: dict[str, list[Listener]] = {}

    def listen(self, events: tuple[str, ...], listener: Listener) -> None:
        """Hand these events to ``listener`` from now on."""
        for event in events:
            self._listeners.setdefault(event, []).append(listener)

    def __call__(self, event: str, /, *, id: str = "", **fields: Any) -> None:  # noqa: A002 - the format's own word
        """Emit; a listener that fails is logged and harms neither the caller nor the other listeners."""
        if not id:
            request = current_request.get()
            id = request.request_id if request is not None else ""  # noqa: A001
        self._sink(event, id=id, **fields)
        for listener in self._listeners.get(event, ()):
            try:
                listener(event, id, fields)
            except Exception:
                log.exception("a listener of the event %s failed", event)
