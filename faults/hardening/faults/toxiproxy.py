"""Drives any Toxiproxy, the real one or ours, over its HTTP API: ``toxiproxy-python`` made fit for asyncio.

The client library blocks, keeps host and port in its class, sets no timeouts, obeys ``HTTP_PROXY`` and ``.netrc``,
cannot change a toxic and passes over errors of the server. All of that is worked round here, once: each server gets
a subclass of the library's consumer, each call runs in a thread with a timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit

import requests
from prometheus_client.parser import text_string_to_metric_families
from requests.auth import AuthBase
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from hardening.faults.toxiproxy_process import Found, ToxiproxyProcess, find_toxiproxy

CALL_TIMEOUT_S = 10.0

__all__ = ["Found", "Kind", "ProxyHandle", "ProxyLink", "Toxiproxy", "ToxiproxyError", "find_toxiproxy"]


class ToxiproxyError(RuntimeError):
    """A Toxiproxy refused, or could not be reached.

    Attributes:
        status: its HTTP status; 0 when there was no answer.
        reason: its own words, or the network's.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"Toxiproxy answered {status}: {reason}" if status else f"Toxiproxy: {reason}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Kind:
    """Which Toxiproxy ran.

    Attributes:
        flavour: ``real`` or ``embedded``.
        version: as it says itself.
        how: ``url``, ``binary``, ``path`` or ``embedded``: where it came from.
    """

    flavour: Literal["real", "embedded"]
    version: str
    how: str

    def __str__(self) -> str:
        return f"{self.flavour} Toxiproxy {self.version} (from {self.how})"


class _Bearer(AuthBase):
    """Sends the token, or nothing: given explicitly, it keeps ``requests`` from looking into ``.netrc``."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Client:
    """Calls of one server, each in a thread."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        # A subclass of its own: host and port belong to the class, and two servers would collide.
        self._consumer: Any = type("BoundConsumer", (APIConsumer,), {"host": host, "port": parts.port or 8474})
        # An empty entry beats HTTP_PROXY and ALL_PROXY of the environment.
        self._options: dict[str, Any] = {
            "timeout": CALL_TIMEOUT_S,
            "proxies": {"http": ""},
            "auth": _Bearer(token),
        }

    async def call(self, verb: Literal["get", "post", "delete"], path: str, body: object = None) -> requests.Response:
        """One request.

        Raises:
            ToxiproxyError: when it is refused or unanswered.
        """
        return await asyncio.to_thread(self._call, verb, path, body)

    def _call(self, verb: str, path: str, body: object) -> requests.Response:
        options = self._options if body is None else {**self._options, "json": body}
        try:
            response: requests.Response = getattr(self._consumer, verb)(path, **options)
        except ProxyExists as error:
            raise ToxiproxyError(409, _reason(error.args[0])) from error
        except NotFound as error:
            raise ToxiproxyError(404, _reason(error.args[0])) from error
        except InvalidToxic as error:
            raise ToxiproxyError(400, _reason(error.args[0])) from error
        except requests.RequestException as error:
            raise ToxiproxyError(0, f"no answer to {verb.upper()} {path} ({type(error).__name__})") from error
        if response.status_code >= 400:
            raise ToxiproxyError(response.status_code, _reason(response.content))
        return response


def _reason(content: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(content)["error"])
    return content.decode("utf-8", "replace").strip()


class Toxiproxy:
    """A running Toxiproxy. ``kind`` says which; get one by ``async with Toxiproxy.start() as toxiproxy``."""

    def __init__(self, url: str, token: str | None, kind: Kind, process: ToxiproxyProcess | None = None) -> None:
        self.url = url
        self.kind = kind
        self.process = process
        self._client = _Client(url, token)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        env: Mapping[str, str] | None = None,
        *,
        found: Found | None = None,
        seed: int | None = None,
        token: str | None = None,
    ) -> AsyncIterator[Self]:
        """Reach or start one; what was started ends with the block.

        Args:
            env: where to look (see ``find_toxiproxy``); the process's own environment when none.
            found: the outcome of an earlier look, instead of ``env``.
            seed: makes draws repeat (the real one ignores seeds).
            token: bearer token of a server behind ``TOXIPROXY_URL``, or for the embedded one to ask for.

        Raises:
            ToxiproxyError: when it does not answer.
        """
        chosen = found or find_toxiproxy(os.environ if env is None else env)
        if chosen.how == "url":
            yield await cls._connect(chosen.where, token, chosen.how, None)
            return
        async with ToxiproxyProcess(chosen, seed=seed, token=token) as process:
            yield await cls._connect(process.url, token, chosen.how, process)

    @classmethod
    async def _connect(cls, url: str, token: str | None, how: str, process: ToxiproxyProcess | None) -> Self:
        response = await _Client(url, token).call("get", "/version")
        version = str(response.json()["version"])
        return cls(url, token, Kind("embedded" if "embedded" in version else "real", version, how), process)

    async def create(
        self, name: str, upstream: str, listen: str = "127.0.0.1:0", *, enabled: bool = True
    ) -> ProxyHandle:
        """Create a proxy.

        Raises:
            ToxiproxyError: 409 when the name is taken, 500 when it cannot listen.
        """
        body = {"name": name, "upstream": upstream, "listen": listen, "enabled": enabled}
        response = await self._client.call("post", "/proxies", body)
        return ProxyHandle(self._client, response.json())

    async def populate(self, proxies: list[Mapping[str, Any]]) -> list[ProxyHandle]:
        """Create or replace several; ours takes ``toxics`` too.

        Raises:
            ToxiproxyError: with the first one's reason.
        """
        response = await self._client.call("post", "/populate", proxies)
        return [ProxyHandle(self._client, data) for data in response.json()["proxies"] or []]

    async def proxies(self) -> dict[str, ProxyHandle]:
        """All proxies by name."""
        response = await self._client.call("get", "/proxies")
        return {name: ProxyHandle(self._client, data) for name, data in response.json().items()}

    async def reset(self) -> None:
        """Enable all proxies and remove all toxics.

        Raises:
            ToxiproxyError: when a proxy cannot be enabled.
        """
        await self._client.call("post", "/reset")


class ProxyHandle:
    """One proxy of a Toxiproxy.

    Attributes:
        name, upstream: as created.
        listen: where it listens, ``host:port``.
        enabled: as last seen by this handle.
    """

    def __init__(self, client: _Client, data: Mapping[str, Any]) -> None:
        self._client = client
        self.name = str(data["name"])
        self._path = f"/proxies/{quote(self.name, safe='')}"
        self._take(data)

    def _take(self, data: Mapping[str, Any]) -> None:
        self.listen, self.upstream = str(data["listen"]), str(data["upstream"])
        self.enabled = bool(data["enabled"])

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to dial."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    async def refresh(self) -> None:
        """Read it again.

        Raises:
            ToxiproxyError: 404 when it is gone.
        """
        self._take((await self._client.call("get", self._path)).json())

    async def update(self, **changes: object) -> None:
        """Change ``listen``, ``upstream`` or ``enabled``.

        Raises:
            ToxiproxyError: when it is refused.
        """
        self._take((await self._client.call("post", self._path, changes)).json())

    async def enable(self) -> None:
        """Listen again, on the same port."""
        await self.update(enabled=True)

    async def disable(self) -> None:
        """Stop listening and drop all connections."""
        await self.update(enabled=False)

    async def delete(self) -> None:
        """Stop and forget it."""
        await self._client.call("delete", self._path)

    async def toxics(self) -> list[dict[str, Any]]:
        """Its toxics as the API shows them."""
        found: list[dict[str, Any]] = (await self._client.call("get", f"{self._path}/toxics")).json()
        return found

    async def add_toxic(
        self,
        kind: str,
        stream: str = "downstream",
        toxicity: float = 1.0,
        attributes: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> str:
        """Add a toxic; returns its name.

        Raises:
            ToxiproxyError: 400 when it is refused, 409 when the name is taken.
        """
        body = {"type": kind, "stream": stream, "toxicity": toxicity, "attributes": dict(attributes or {})}
        response = await self._client.call("post", f"{self._path}/toxics", {**body, "name": name} if name else body)
        return str(response.json()["name"])

    async def update_toxic(
        self, name: str, attributes: Mapping[str, Any] | None = None, toxicity: float | None = None
    ) -> dict[str, Any]:
        """Change attributes (the others stay) or toxicity.

        Raises:
            ToxiproxyError: 400 or 404.
        """
        body: dict[str, Any] = {"attributes": dict(attributes)} if attributes else {}
        if toxicity is not None:
            body["toxicity"] = toxicity
        response = await self._client.call("post", f"{self._path}/toxics/{quote(name, safe='')}", body)
        updated: dict[str, Any] = response.json()
        return updated

    async def remove_toxic(self, name: str) -> None:
        """Remove a toxic.

        Raises:
            ToxiproxyError: 404 when there is none of that name.
        """
        await self._client.call("delete", f"{self._path}/toxics/{quote(name, safe='')}")

    async def metrics(self) -> dict[str, float]:
        """Counts of this proxy from ``/metrics``; empty when the server has none.

        Keys: ``received_bytes_upstream`` ... ``sent_bytes_downstream``; of ours also ``connections``, ``resets``,
        ``refused``, ``dropped``, ``open_connections`` and ``toxic.NAME.EFFECT``. The real one counts bytes only, and
        only of connections that have ended.
        """
        try:
            text = (await self._client.call("get", "/metrics")).text
        except ToxiproxyError as error:
            if error.status == 404:
                return {}
            raise
        return _read_metrics(text, self.name)


def _read_metrics(text: str, proxy: str) -> dict[str, float]:
    counts: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            if labels.get("proxy") != proxy:
                continue
            name = sample.name.removeprefix("toxiproxy_").removeprefix("proxy_").removesuffix("_total")
            if "direction" in labels:
                key = f"{name}_{labels['direction']}"
            elif "effect" in labels:
                key = f"toxic.{labels['toxic']}.{labels['effect']}"
            else:
                key = {"accepted": "connections"}.get(labels.get("outcome", ""), labels.get("outcome", name))
            # A proxy that was moved has a series for each of its addresses.
            counts[key] = counts.get(key, 0.0) + sample.value
    return counts


class ProxyLink:
    """A proxy as the ``Link`` that network faults act on (see ``hardening.faults.targets``)."""

    _numbers = itertools.count(1)

    def __init__(self, proxy: ProxyHandle) -> None:
        self.proxy = proxy

    async def add_toxic(self, toxic: str, stream: str, toxicity: float, attributes: Mapping[str, Any]) -> str:
        """Add a toxic under a name of its own; a cancelled call leaves none behind.

        Raises:
            ToxiproxyError: when it is refused (the real one does not know our own types).
        """
        name = f"{toxic}_{stream}_{os.getpid()}_{next(self._numbers)}"
        adding = asyncio.ensure_future(self.proxy.add_toxic(toxic, stream, toxicity, attributes, name))
        try:
            return await asyncio.shield(adding)
        except asyncio.CancelledError:
            # The thread goes on: wait for it, then undo what it did.
            with contextlib.suppress(ToxiproxyError):
                await adding
                await self.proxy.remove_toxic(name)
            raise

    async def remove_toxic(self, name: str) -> None:
        """Remove it and see that it is gone.

        Raises:
            ToxiproxyError: when it is still there, or never was.
        """
        await self.proxy.remove_toxic(name)
        if any(toxic["name"] == name for toxic in await self.proxy.toxics()):
            raise ToxiproxyError(500, f"toxic {name} is still there after its removal")

    async def set_enabled(self, enabled: bool) -> None:
        """Bring the proxy up or down and see that it is.

        Raises:
            ToxiproxyError: when it is not as asked.
        """
        await self.proxy.update(enabled=enabled)
        await self.proxy.refresh()
        if self.proxy.enabled is not enabled:
            raise ToxiproxyError(
                500, f"proxy {self.proxy.name} is {'down' if enabled else 'up'} instead of what was asked"
            )

    async def counters(self) -> Mapping[str, float]:
        """See ``ProxyHandle.metrics``."""
        return await self.proxy.metrics()
