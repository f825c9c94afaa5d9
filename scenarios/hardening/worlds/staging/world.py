"""Somebody's staging stack as a world: hurt through its Toxiproxy, its Redis (by commands) and its own front door.

It is not ours: nothing is started or ended, no toxic but our own is touched, and what was there before is there
afterwards, which is verified.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from hardening.faults.base import HealError, UnsupportedTargetError
from hardening.faults.network import LINKS
from hardening.faults.run_directory import RunDirectory
from hardening.faults.toxiproxy import Found, ProxyHandle, ProxyLink, Toxiproxy
from hardening.faults.toxiproxy_process import TOKEN_VARIABLE
from hardening.faults.toxiproxy_undo import undo_record
from hardening.history.events import Header, Recorder, digest_of
from hardening.worlds.live.valkey import RedisConnection
from hardening.worlds.live.world import versions
from hardening.worlds.shared.client import Client, Credentials
from hardening.worlds.shared.service_target import ServiceListener
from hardening.worlds.spec import RunContext
from hardening.worlds.stage import pick

ANSWER_S_MAX = 0.5
REDIS_S_MAX = 10.0


class StagingError(ValueError):
    """A staging stack that cannot be used; one line that names the option, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class StagingSpec:
    """Where the staging stack is.

    Attributes:
        url: of the service, ``http://host:port`` or ``https://host``.
        toxiproxy: URL of the Toxiproxy in front of its dependencies.
        redis: URL of its Redis, past the proxy; empty: leave Redis alone.
        key: the API key to send; empty: none.
        links: name of the proxy of a link, where it does not say so itself.
        cut: links that the session may bring down.
        context: seed and commit, for the history.
        scenario: name for the history.
    """

    url: str
    toxiproxy: str
    redis: str = ""
    key: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    cut: tuple[str, ...] = ()
    context: RunContext = field(default_factory=RunContext)
    scenario: str = ""


def address_of(option: str, url: str) -> tuple[str, int, bool]:
    """Host, port and whether TLS is spoken.

    Raises:
        StagingError: when it is no URL of a host.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or parts.path not in {"", "/"}:
        raise StagingError(f"{option} is {url!r}, allowed: http://HOST:PORT or https://HOST:PORT, without a path")
    return parts.hostname, port or (443 if parts.scheme == "https" else 80), parts.scheme == "https"


def without_password(url: str) -> str:
    """A URL that may be written down."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return urlunsplit(parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host))


def match_links(proxies: Mapping[str, object], named: Mapping[str, str]) -> dict[str, str]:
    """Which proxy is which link: as named, else the one of that name, else the only one whose name holds it.

    Raises:
        StagingError: when a named proxy does not exist.
    """
    found: dict[str, str] = {}
    for link in LINKS:
        holding = [name for name in sorted(proxies) if link in name.lower()]
        if link in named:
            if named[link] not in proxies:
                shown = ", ".join(sorted(proxies)) or "none, for there is no proxy"
                raise StagingError(f"--link is {f'{link}={named[link]}'!r}, allowed: {link}=PROXY, one of {shown}")
            found[link] = named[link]
        elif link in proxies:
            found[link] = link
        elif len(holding) == 1:
            found[link] = holding[0]
    return found


class CommandedRedis:
    """``RedisServer`` and ``RedisSessions`` of a Redis that is not ours: commands, and no more."""

    def __init__(self, url: str) -> None:
        self._url = url

    def _client(self, timeout_s: float) -> Redis:
        retry = Retry(NoBackoff(), 0)
        return Redis.from_url(self._url, socket_timeout=timeout_s, socket_connect_timeout=2, retry=retry, protocol=2)

    async def command(self, *words: str | bytes | int) -> Any:
        """See ``hardening.faults.targets.RedisServer``."""
        client = self._client(REDIS_S_MAX)
        try:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()

    async def alive(self) -> bool:
        """See ``hardening.faults.targets.RedisServer``."""
        client = self._client(ANSWER_S_MAX)
        try:
            return bool(await client.execute_command("PING"))  # type: ignore[no-untyped-call]
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()

    async def running(self) -> bool:
        """See ``hardening.faults.targets.RedisSessions``; nobody here ends it."""
        return True

    async def session(self) -> RedisConnection:
        """See ``hardening.faults.targets.RedisSessions``."""
        connection = RedisConnection(self._url)
        await connection.command("PING")
        return connection

    async def _not_ours(self, *_words: object, **_options: object) -> None:
        raise UnsupportedTargetError("fault.target", "redis", "a Redis whose process is ours")

    kill = shutdown = restart = pause = resume = _not_ours


class StagingWorld:
    """``async with StagingWorld(spec) as world``: reached inside; afterwards it is as it was."""

    def __init__(self, spec: StagingSpec) -> None:
        self.spec = spec
        self._epoch_s = time.monotonic()
        self._host, self._port, tls = address_of("--target", spec.url)
        address_of("--toxiproxy", spec.toxiproxy)
        self.recorder = Recorder(self._header("unknown"))
        keys = dict.fromkeys(("demo", "high", "low"), Credentials(spec.key, user=""))
        context = ssl.create_default_context() if tls else None
        self.client = Client(
            lambda: (self._host, self._port),
            self.recorder,
            self.now,
            keys if spec.key else {},
            keep_bodies=False,
            tls=context,
        )
        self.links: dict[str, ProxyLink] = {}
        self.kind = "unknown"
        self._enabled: dict[str, bool] = {}
        self._left: list[str] = []
        self._stack = AsyncExitStack()
        self._run: RunDirectory

    def now(self) -> float:
        """Seconds since the run began, as exact as a history keeps them."""
        return round(time.monotonic() - self._epoch_s, 6)

    def _header(self, toxiproxy: str) -> Header:
        settings = {"target": self.spec.url}
        return Header(
            world="target",
            settings=settings,
            settings_digest=digest_of(settings),
            seed=self.spec.context.seed,
            commit=self.spec.context.commit,
            canaries=(),
            versions={**versions(), "redis_server": "of the target", "toxiproxy": toxiproxy},
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            scenario=self.spec.scenario,
        )

    async def reach(self) -> tuple[Toxiproxy, dict[str, ProxyHandle]]:
        """Connect to the Toxiproxy and find the links; changes nothing.

        Raises:
            ToxiproxyError: when it does not answer.
            StagingError: when a named proxy does not exist.
        """
        token = os.environ.get(TOKEN_VARIABLE)
        starting = Toxiproxy.start(found=Found("url", self.spec.toxiproxy), token=token)
        toxiproxy = await self._stack.enter_async_context(starting)
        proxies = await toxiproxy.proxies()
        matched = match_links(proxies, self.spec.links)
        return toxiproxy, {link: proxies[name] for link, name in matched.items()}

    async def look(self) -> tuple[str, frozenset[str]]:
        """Which Toxiproxy it is, and the links it has; changes nothing. Raises as ``reach`` does."""
        async with self._stack:
            toxiproxy, found = await self.reach()
            return str(toxiproxy.kind), frozenset(found)

    async def __aenter__(self) -> Self:
        try:
            return await self._enter()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _enter(self) -> Self:
        toxiproxy, found = await self.reach()
        self.kind = str(toxiproxy.kind)
        self.recorder.header = self._header(self.kind)
        self._enabled = {link: proxy.enabled for link, proxy in found.items()}
        self.links = {link: ProxyLink(proxy) for link, proxy in found.items()}
        run = RunDirectory()
        self._run = run
        cut = [found[link].name for link in self.spec.cut if link in found and found[link].enabled]
        run.undo_later(undo_record(self.spec.toxiproxy, os.getpid(), cut))
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            self._left = [line for link in sorted(self.links) for line in await self._what_is_left(link)]
        finally:
            await self._stack.aclose()
        if self._left:
            # The run directory stays, and with it the record by which the next sweep tries again.
            raise HealError(f"the target is not as it was: {', '.join(self._left)}")
        self._run.__exit__(None, None, None)

    async def _what_is_left(self, link: str) -> list[str]:
        proxy = self.links[link].proxy
        await proxy.refresh()
        ours = f"_{os.getpid()}_"
        found = [f"toxic {t['name']} on {proxy.name}" for t in await proxy.toxics() if ours in str(t["name"])]
        if proxy.enabled is not self._enabled[link]:
            found.append(f"proxy {proxy.name} is {'up' if proxy.enabled else 'down'}")
        return found

    def leftovers(self) -> list[str]:
        """What was not as before when we left."""
        return self._left

    def target(self, protocol: str, name: str) -> object:
        """See ``hardening.faults.targets.World``."""
        known: dict[tuple[str, str], object] = {("link", link): proxy for link, proxy in self.links.items()}
        known["listener", "service"] = ServiceListener(lambda: (self._host, self._port), self.spec.key)
        if self.spec.redis:
            known["redis", "redis"] = CommandedRedis(self.spec.redis)
        return pick(known, protocol, name, "the target")
