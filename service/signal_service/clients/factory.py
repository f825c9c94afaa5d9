"""The four clients, and the one place where they are made, and closed once.

``get_client_manager()`` and ``shutdown_all_clients()`` are the operators' entry points.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote

from signal_service.clients.downstream import Ask, Downstream, World
from signal_service.clients.errors import DownstreamError, UnknownSymbolError
from signal_service.config.settings import Settings
from signal_service.market.candles import Candle, parse_candles

MEND_EVERY_S = 1.0


CRITICAL = ("ticker", "user")
"""Without these the service does not start; alert and comms may come later."""


class _Client:
    def __init__(self, downstream: Downstream) -> None:
        self.downstream = downstream


class TickerClient(_Client):
    """``GET /candles/{symbol}``."""

    async def candles(self, symbol: str, timeframe: str, limit: int) -> tuple[Candle, ...]:
        """The last ``limit`` bars at most, oldest first; ``symbol`` and ``timeframe`` are already validated.

        Raises:
            UnknownSymbolError: the ticker has no such symbol.
            DownstreamError: no usable answer.
        """
        ask = Ask("GET", f"/candles/{symbol}", params={"timeframe": timeframe, "limit": str(limit)})
        try:
            return await self.downstream.call(ask, lambda data: parse_candles(data, symbol, timeframe)[-limit:])
        except DownstreamError as error:
            if error.status == 404:
                raise UnknownSymbolError(symbol) from error
            raise


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a user may do; ``symbols`` holds names, or ``*`` for all."""

    user: str
    plan: str
    active: bool
    symbols: frozenset[str]

    def allows(self, symbol: str) -> bool:
        """True when the user may see ``symbol``."""
        return self.active and ("*" in self.symbols or symbol in self.symbols)


class UserClient(_Client):
    """``GET /users/{user}/entitlement``."""

    async def entitlement(self, user: str) -> Entitlement:
        """What ``user`` may do; a user that the service does not know may do nothing.

        Raises:
            DownstreamError: no usable answer.
        """
        ask = Ask("GET", f"/users/{quote(user, safe='')}/entitlement")
        try:
            return await self.downstream.call(ask, lambda data: _parse(data, user))
        except DownstreamError as error:
            if error.status == 404:
                return Entitlement(user, "", False, frozenset())
            raise


def _parse(data: Any, user: str) -> Entitlement:
    plan, active, symbols = data["plan"], data["active"], data["symbols"]
    texts = isinstance(plan, str) and isinstance(symbols, list) and all(isinstance(name, str) for name in symbols)
    if data["user"] != user or not texts or not isinstance(active, bool):
        raise ValueError("not this user's entitlement")  # another user's answer must never decide
    return Entitlement(user, plan, active, frozenset(symbols))


class AlertClient(_Client):
    """``POST /alerts``."""

    async def deliver(self, alert: Mapping[str, Any]) -> None:
        """Hand over ``{"alert_id", "user", "symbol", "rule", "text"}``; the id is the Idempotency-Key.

        Raises:
            DownstreamError: not taken; ``kind`` ``client_error``: refused for good.
        """
        body = {name: alert[name] for name in ("alert_id", "user", "symbol", "rule", "text")}
        await self.downstream.call(Ask("POST", "/alerts", body=body, key=alert["alert_id"]), lambda _: None)


class CommsClient(_Client):
    """``POST /messages``."""

    async def send(self, alert: Mapping[str, Any]) -> None:
        """Send ``{"alert_id", "user", "channel", "text"}``; the id is the Idempotency-Key.

        Raises:
            DownstreamError: not taken; ``kind`` ``client_error``: refused for good.
        """
        body = {name: alert[name] for name in ("alert_id", "user", "channel", "text")}
        await self.downstream.call(Ask("POST", "/messages", body=body, key=alert["alert_id"]), lambda _: None)


class ClientManager:
    """The four downstream clients: ``ticker``, ``user``, ``alert``, ``comms``.

    A client that cannot be built leaves the others up; its calls fail as ``unbuilt``.
    """

    def __init__(self, settings: Settings, world: World) -> None:
        token = settings.service_token.get_secret_value()
        self._world = world
        self._closed = False
        self.downstreams: dict[str, Downstream] = {
            name: Downstream(name, getattr(settings.downstreams, name), settings.retry, token, world)
            for name in ("ticker", "user", "alert", "comms")
        }
        self.ticker = TickerClient(self.downstreams["ticker"])
        self.user = UserClient(self.downstreams["user"])
        self.alert = AlertClient(self.downstreams["alert"])
        self.comms = CommsClient(self.downstreams["comms"])
        for name, downstream in self.downstreams.items():
            try:
                downstream.build()
            except Exception as error:  # noqa: BLE001 - whatever broke this one, the others must come up
                world.emit("client", name=name, event="build_failed", error=str(error))
            else:
                world.emit("client", name=name, event="built")

    def apply(self, settings: Settings) -> None:
        """Take the settings that a reload may change: breakers, times, retries."""
        for name, downstream in self.downstreams.items():
            downstream.apply(getattr(settings.downstreams, name), settings.retry)

    async def mend_forever(self) -> NoReturn:
        """Probe breakers that are due while no traffic does; run in the background, cancel to end."""
        while True:
            await self._world.sleep(MEND_EVERY_S)
            await asyncio.gather(*(one.mend() for one in self.downstreams.values()))

    async def aclose(self) -> None:
        """Close every client, once, even when one fails to close."""
        if self._closed:
            return
        self._closed = True
        for name, downstream in self.downstreams.items():
            try:
                await downstream.aclose()
            except Exception as error:  # noqa: BLE001 - the others must still be closed
                self._world.emit("client", name=name, event="close_failed", error=repr(error))
            else:
                self._world.emit("client", name=name, event="closed")


_managers: list[ClientManager] = []


def build_client_manager(settings: Settings, world: World) -> ClientManager:
    """Make the clients of this process; called once, by ``app.py``.

    Raises:
        RuntimeError: when there are some already.
    """
    if _managers:
        raise RuntimeError("the clients of this process are made already")
    manager = ClientManager(settings, world)
    _managers.append(manager)
    return manager


def get_client_manager() -> ClientManager:
    """The clients of this process.

    Raises:
        RuntimeError: before they are built and after they were shut down.
    """
    if not _managers:
        raise RuntimeError("the clients are not built")
    return _managers[0]


async def shutdown_all_clients() -> None:
    """Close every client of this process; harmless when called again."""
    while _managers:
        await _managers.pop().aclose()


def abandon_all_clients() -> None:
    """Forget every client without closing it, as a killed process does: for worlds where a process is no process."""
    _managers.clear()
