"""The alert service: keeps the alerts of the users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signal_service.clients.downstream import Ask, Downstream


class AlertClient:
    """``POST /alerts``."""

    def __init__(self, downstream: Downstream) -> None:
        self.downstream = downstream

    async def deliver(self, alert: Mapping[str, Any]) -> None:
        """Hand over ``{"alert_id", "user", "symbol", "rule", "text"}``; the id is the Idempotency-Key.

        Raises:
            DownstreamError: not taken; ``kind`` ``client_error``: refused for good.
        """
        body = {name: alert[name] for name in ("alert_id", "user", "symbol", "rule", "text")}
        await self.downstream.call(Ask("POST", "/alerts", body=body, key=alert["alert_id"]), lambda _: None)

    async def health(self) -> None:
        """Raises DownstreamError when it is not well."""
        await self.downstream.health()
