"""The proxy as a server: in another process by ``main``, or inside a running event loop by ``ProxyServer``.

In: a command line or its arguments; out: the control API and the proxies of a configuration file. A command line or
file that cannot be used is one line on standard error and exit code 2.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from hardening.proxy.address import join
from hardening.proxy.api import VERSION, Api
from hardening.proxy.collection import Collection
from hardening.proxy.http import ControlServer
from hardening.proxy.selector import precise_loop
from hardening.toxics import seeded_draws

DEFAULT_PORT = 8474


class ConfigError(Exception):
    """A command line or a configuration file that cannot be used; the message is one line."""


class ProxyServer:
    """Control API and proxies in the running event loop; leaving the block closes everything.

    Args:
        host: where the control API listens.
        port: 0 for any free one.
        seed: makes all draws of toxics repeat; a random one when none.
        token: wanted as bearer token when given.
        config: the bytes of a configuration file (what ``/populate`` takes, toxics allowed).
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        seed: int | None = None,
        token: str | None = None,
        config: bytes | None = None,
    ) -> None:
        self.seed = secrets.randbits(63) if seed is None else seed
        self.collection = Collection(seeded_draws(self.seed))
        self.host, self.port = host, port
        self._config = config
        self._control = ControlServer(Api(self.collection, token))

    @property
    def url(self) -> str:
        """Where the control API is."""
        return f"http://{join(self.host, self.port)}"

    async def __aenter__(self) -> Self:
        try:
            if self._config is not None:
                _, error = await self.collection.populate(self._config)
                if error is not None:
                    raise ConfigError(error.message)
            self.host, self.port = await self._control.start(self.host, self.port)
        except BaseException:
            await self.collection.close()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._control.close()
        await self.collection.close()


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hardening proxy", description="TCP proxy with the Toxiproxy 2.12 HTTP API")
    parser.add_argument("--host", default="127.0.0.1", help="where the control API listens (default: loopback only)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="its port; 0 takes a free one")
    parser.add_argument("--seed", type=int, help="makes toxicity, jitter, cuts and losses repeat")
    parser.add_argument("--config", type=Path, metavar="FILE", help="proxies, with their toxics, as JSON")
    parser.add_argument("--token-env", metavar="NAME", help="environment variable that holds a bearer token to ask for")
    parser.add_argument("--until-stdin-closes", action="store_true", help="also end when standard input closes")
    parser.add_argument("--version", action="version", version=VERSION)
    return parser.parse_args(argv)


def _read_config(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--config is {str(path)!r}, allowed: a readable file ({error.strerror})") from error


def _read_token(name: str | None) -> str | None:
    if name is None:
        return None
    token = os.environ.get(name, "")
    if not token:
        raise ConfigError(f"--token-env is {name!r}, allowed: a variable that is set and not empty")
    return token


async def _serve(arguments: argparse.Namespace) -> None:
    if not 0 <= arguments.port <= 65535:
        raise ConfigError(f"--port is {arguments.port}, allowed: 0 to 65535")
    server = ProxyServer(
        arguments.host,
        arguments.port,
        seed=arguments.seed,
        token=_read_token(arguments.token_env),
        config=_read_config(arguments.config),
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if arguments.until_stdin_closes:
        _stop_at_end_of_input(loop, stop)
    try:
        async with server:
            # All that was made until now stays: keep the collector from walking it while bytes wait.
            gc.collect()
            gc.freeze()
            sys.stdout.write(f"listening on {server.url} version {VERSION} seed {server.seed}\n")
            sys.stdout.flush()
            await stop.wait()
    except ConfigError as error:
        raise ConfigError(f"--config is {str(arguments.config)!r}: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot listen on {join(arguments.host, arguments.port)}: {error.strerror}") from error


def _stop_at_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """The process that started us holds the other end of the pipe, which closes when that process ends."""

    def readable() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, readable)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT.

    Args:
        argv: the command line without the program's name; ``sys.argv`` when none.

    Returns:
        0 after a signal, 2 when command line or configuration are no good.
    """
    arguments = _arguments(argv)
    try:
        with asyncio.Runner(loop_factory=precise_loop) as runner:
            runner.run(_serve(arguments))
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0
