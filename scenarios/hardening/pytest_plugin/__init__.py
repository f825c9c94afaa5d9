"""The pytest plugin: a world, a Redis server, a Toxiproxy and faults as fixtures, for the tests of any repository.

pytest finds it through its entry point. Every heavy import waits until a fixture asks for it, so a run that uses no
fixture pays a few milliseconds. The fixtures are named ``hardening_*``; the four short names of older releases are
aliases (``hardening.pytest_plugin.aliases``) and yield to any fixture of the same name. A fixture whose library is
not installed fails with one line that names the extra to install.

The live fixtures are asynchronous and need ``pytest-asyncio``:

    @pytest.mark.live
    @pytest.mark.asyncio
    async def test_my_service_survives_redis(hardening_live_world, hardening_inject):
        async with hardening_inject({"kind": "redis_killed"}) as injection:
            ...
        assert injection.effect.effective
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def _libraries(fixture: str) -> Iterator[None]:
    """Fail the test with one line where an import needs an extra that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        from hardening.certificate.extras import what_to_install  # noqa: PLC0415 - see the module

        missing = what_to_install(error)
        if not missing:
            raise
        pytest.fail(f"the fixture {fixture} {missing}", pytrace=False)


if importlib.util.find_spec("pytest_asyncio") is not None:
    import pytest_asyncio

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(session: pytest.Session) -> None:
        """Add the short names that no other plugin defines."""
        from hardening.pytest_plugin import aliases  # noqa: PLC0415 - it is imported once pytest's own plugins stand

        aliases.add(session)

    @pytest.fixture
    def hardening_live_settings() -> dict[str, Any]:
        """Settings laid over the service's defaults in ``hardening_live_world``; override it in a test module."""
        return {}

    @pytest_asyncio.fixture
    async def hardening_live_world(hardening_live_settings: dict[str, Any]) -> AsyncIterator[LiveWorld]:
        """The Signal Service, ready, with a real Valkey, fake downstreams and a Toxiproxy; all gone afterwards."""
        with _libraries("hardening_live_world"):
            from hardening.worlds.live.world import LiveWorld  # noqa: PLC0415 - see the module
            from hardening.worlds.spec import WorldSpec  # noqa: PLC0415

        async with LiveWorld(WorldSpec(settings=hardening_live_settings, scenario="pytest")) as world:
            yield world
        assert not world.leftovers()

    @pytest_asyncio.fixture
    async def hardening_redis_server() -> AsyncIterator[ValkeyServer]:
        """A real Valkey server of the test's own, append-only, on a free port."""
        from hardening.faults.run_directory import RunDirectory  # noqa: PLC0415 - see the module
        from hardening.worlds.live.valkey import ValkeyServer  # noqa: PLC0415

        with RunDirectory() as run:
            server = ValkeyServer(run)
            try:
                await server.start()
                yield server
            finally:
                await server.stop()

    @pytest_asyncio.fixture
    async def hardening_toxiproxy() -> AsyncIterator[Toxiproxy]:
        """The real Toxiproxy where one can be had, else the embedded one; ``kind`` says which."""
        from hardening.faults.toxiproxy import Toxiproxy  # noqa: PLC0415 - see the module

        async with Toxiproxy.start() as running:
            yield running

    @pytest.fixture
    def hardening_inject(hardening_live_world: LiveWorld) -> Callable[[dict[str, Any]], Injection]:
        """A fault from its JSON object: it holds inside ``async with`` and is healed after it."""
        from hardening.faults.catalogue import build  # noqa: PLC0415 - see the module
        from hardening.faults.schedule import Injection  # noqa: PLC0415

        return lambda fault: Injection(build(fault), hardening_live_world)
