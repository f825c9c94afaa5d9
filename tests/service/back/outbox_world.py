"""An outbox and its worker over one Redis, with receivers that take alerts or fail as they are told."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import fakeredis
import pytest
from back_world import Clock, Events

from signal_service.clients.errors import DownstreamError
from signal_service.config.settings import OutboxSettings
from signal_service.store.outbox import Outbox
from signal_service.store.outbox_worker import Worker
from signal_service.store.redis_link import RedisGoneError, RedisLink

BODY = {"symbol": "ACME", "rule": {"indicator": "rsi", "op": "<", "value": 30}, "channel": "mail"}


class Receiver:
    """Takes alerts, or fails as it is told; de-duplicates by id as the real ones do."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.effects: dict[str, Mapping[str, Any]] = {}
        self.errors: list[Exception] = []
        self.always: Exception | None = None

    async def __call__(self, alert: Mapping[str, Any]) -> None:
        self.seen.append(alert["alert_id"])
        error = self.errors.pop(0) if self.errors else self.always
        if error is not None:
            raise error
        self.effects.setdefault(alert["alert_id"], alert)


class World:
    def __init__(self, **settings: Any) -> None:
        self.clock, self.events = Clock(), Events()
        self.client = fakeredis.FakeAsyncRedis()
        self.settings = OutboxSettings(**settings)
        self.alert, self.comms = Receiver(), Receiver()
        self.restart()

    def restart(self) -> None:
        """A new process over the same Redis and the same receivers."""
        self.link = RedisLink(self.client, self.events, self.clock)
        self.outbox = Outbox(self.link, self.settings, emit=self.events, monotonic=self.clock)
        self.worker = Worker(
            self.link,
            self.outbox.names,
            {"alert": self.alert, "comms": self.comms},
            self.settings,
            emit=self.events,
            monotonic=self.clock,
            rng=random.Random(5),
        )
        self.outbox.wake = self.worker.wake

    async def work(self, rounds: int = 5, seconds: float = 0.0) -> None:
        for _ in range(rounds):
            self.clock.now_s += seconds
            while await self.worker.step():
                pass

    def break_redis(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def gone(*_: Any) -> Any:
            raise RedisGoneError

        monkeypatch.setattr(self.link, "run", gone)


def failure(name: str = "comms", status: int = 503) -> DownstreamError:
    return DownstreamError(name, "client_error" if status < 500 else "status", status=status)
