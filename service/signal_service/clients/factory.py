"""The one place where clients are made, and closed once.

``get_client_manager()`` and ``shutdown_all_clients()`` are the operators' entry points.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from signal_service.clients.alert import AlertClient
from signal_service.clients.comms import CommsClient
from signal_service.clients.downstream import Downstream, World
from signal_service.clients.ticker import TickerClient
from signal_service.clients.user import UserClient
from signal_service.config.settings import Settings

MEND_EVERY_S = 1.0


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
