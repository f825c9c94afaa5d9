"""Fixtures for tests of services, in this repository and in others: a world, a Redis, a Toxiproxy, faults.

The plugin is found by pytest through its entry point; heavy imports wait until a fixture is asked for, so that
test runs which use none of it pay nothing.

The live fixtures are asynchronous and need ``pytest-asyncio``:

    @pytest.mark.live
    @pytest.mark.asyncio
    async def test_my_service_survives_redis(live_world, inject):
        async with inject({"kind": "redis_killed"}) as injection:
            ...
        assert injection.bite.bit
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hardening.faults.schedule import Injection
    from hardening.faults.toxiproxy import Toxiproxy
    from hardening.worlds.live.valkey import ValkeyServer
    from hardening.worlds.live.world import LiveWorld


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known in repositories that use the plugin."""
    config.addinivalue_line("markers", "live: needs real processes, sockets, signals; may wait in real time (bounded)")


if importlib.util.find_spec("pytest_asyncio") is not None:
    import pytest_asyncio

    @pytest.fixture
    def live_settings() -> dict[str, Any]:
        """Settings laid over the service's defaults in ``live_world``; override it in a test module."""
        return {}

    @pytest_asyncio.fixture
    async def live_world(live_settings: dict[str, Any]) -> AsyncIterator[LiveWorld]:
        """The Signal Service, ready, among a real Valkey, stand-ins and a Toxiproxy; all gone afterwards."""
        from hardening.worlds.live.world import LiveWorld  # noqa: PLC0415 - see the module
        from hardening.worlds.spec import WorldSpec  # noqa: PLC0415

        async with LiveWorld(WorldSpec(settings=live_settings, scenario="pytest")) as world:
            yield world
        assert not world.leftovers()

    @pytest_asyncio.fixture
    async def redis_server() -> AsyncIterator[ValkeyServer]:
        """A real Valkey server of the test's own, append-only, on a free port."""
        from hardening.faults.run_directory import RunDirectory  # noqa: PLC0415
        from hardening.worlds.live.valkey import ValkeyServer  # noqa: PLC0415

        with RunDirectory() as run:
            server = ValkeyServer(run)
            try:
                await server.start()
                yield server
            finally:
                await server.stop()

    @pytest_asyncio.fixture
    async def toxiproxy() -> AsyncIterator[Toxiproxy]:
        """The real Toxiproxy where one can be had, else the embedded one; ``kind`` says which."""
        from hardening.faults.toxiproxy import Toxiproxy  # noqa: PLC0415

        async with Toxiproxy.start() as running:
            yield running

    @pytest.fixture
    def inject(live_world: LiveWorld) -> Callable[[dict[str, Any]], Injection]:
        """A fault from its JSON object: it holds inside ``async with`` and is healed after it."""
        from hardening.faults.catalogue import build  # noqa: PLC0415
        from hardening.faults.schedule import Injection  # noqa: PLC0415

        return lambda fault: Injection(build(fault), live_world)
