"""The links of the live world: every connection of the service goes through a Toxiproxy, ours or the real one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from hardening.faults.run_directory import RunDirectory
from hardening.faults.toxiproxy import ProxyLink, Toxiproxy


@dataclass(slots=True)
class Links:
    """One proxy per link (``redis``, ``ticker`` ...); ``kind`` says which Toxiproxy serves."""

    run: RunDirectory
    seed: int = 0
    by_name: dict[str, ProxyLink] = field(default_factory=dict)
    kind: str = "none"
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def start(self) -> None:
        """Start (or reach) the Toxiproxy; links follow with ``open``."""
        self._toxiproxy = await self._stack.enter_async_context(Toxiproxy.start(seed=self.seed))
        self.kind = str(self._toxiproxy.kind)
        if self._toxiproxy.process is not None:
            self.run.own(self._toxiproxy.process.pid, "toxiproxy")

    @property
    def url(self) -> str:
        """Of the Toxiproxy's API."""
        return self._toxiproxy.url

    async def open(self, upstreams: Mapping[str, str]) -> None:
        """A proxy for each ``name: host:port``; names carry the run, for a Toxiproxy may be shared."""
        handles = await asyncio.gather(
            *(self._toxiproxy.create(f"{self.run.path.name}-{name}", to) for name, to in upstreams.items())
        )
        for name, handle in zip(upstreams, handles, strict=True):
            self.by_name[name] = ProxyLink(handle)
            if self._toxiproxy.process is None:
                self._stack.push_async_callback(handle.delete)

    def address(self, name: str) -> str:
        """``host:port`` at which a link is entered."""
        host, port = self.by_name[name].proxy.address
        return f"{host}:{port}"

    async def stop(self) -> None:
        """End what was started; in somebody's Toxiproxy, delete our proxies."""
        await self._stack.aclose()

    _toxiproxy: Toxiproxy = field(init=False)
