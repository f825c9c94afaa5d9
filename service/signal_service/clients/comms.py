"""The communication service: tells the users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signal_service.clients.downstream import Ask, Downstream


class CommsClient:
    """``POST /messages``."""

    def __init__(self, downstream: Downstream) -> None:
        self.downstream = downstream

    async def send(self, alert: Mapping[str, Any]) -> None:
        """Send ``{"alert_id", "user", "channel", "text"}``; the id is the Idempotency-Key.

        Raises:
            DownstreamError: not taken; ``kind`` ``client_error``: refused for good.
        """
        body = {name: alert[name] for name in ("alert_id", "user", "channel", "text")}
        await self.downstream.call(Ask("POST", "/messages", body=body, key=alert["alert_id"]), lambda _: None)

    async def health(self) -> None:
        """Raises DownstreamError when it is not well."""
        await self.downstream.health()
