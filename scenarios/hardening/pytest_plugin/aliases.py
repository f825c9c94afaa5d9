"""The short fixture names of older releases: ``live_world``, ``redis_server``, ``toxiproxy`` and ``inject``.

In comes a pytest session; what is added are fixtures that hand on their ``hardening_*`` namesakes. A short name that
another plugin defines is left to that plugin; a fixture of a conftest file or a test module overrides it as always.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def live_world(hardening_live_world: Any) -> Any:
    """An alias of ``hardening_live_world``."""
    return hardening_live_world


@pytest.fixture
def redis_server(hardening_redis_server: Any) -> Any:
    """An alias of ``hardening_redis_server``."""
    return hardening_redis_server


@pytest.fixture
def toxiproxy(hardening_toxiproxy: Any) -> Any:
    """An alias of ``hardening_toxiproxy``."""
    return hardening_toxiproxy


@pytest.fixture
def inject(hardening_inject: Any) -> Any:
    """An alias of ``hardening_inject``."""
    return hardening_inject


ALIASES = {"live_world": live_world, "redis_server": redis_server, "toxiproxy": toxiproxy, "inject": inject}


def add(session: pytest.Session) -> None:
    """Register an alias for each short name that no plugin has taken by now."""
    known = session._fixturemanager.getfixturedefs  # noqa: SLF001 - pytest has no public list of fixtures
    free = {name: fixture for name, fixture in ALIASES.items() if not known(name, session)}
    holder = ModuleType("hardening_aliases", "The short names that are free.")  # pytest reads fixtures from a module
    vars(holder).update(free)
    session.config.pluginmanager.register(holder, holder.__name__)
