"""What a world is made of: plain data that both worlds read, and the settings that it gives to the service.

In: a seed, a commit and what a scenario asks for. Out: ``WorldSpec`` and a merged configuration. No errors of its own;
``wrong_settings`` returns the service's own complaints as lines.
"""

from __future__ import annotations

import copy
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from hardening.worlds.shared.downstreams import NAMES
from hardening.worlds.shared.keys import Secrets

_LIBRARIES = ("fastapi", "uvicorn", "httpx", "httpcore", "redis", "structlog", "pydantic", "h11")


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all runs of one command share.

    Attributes:
        seed: secrets, candles, workload and (in the simulated world) the schedule are drawn from it.
        commit: of the code that runs.
        sabotage: ``FILE.py:NAME`` of the mutant to run; empty for the service as it is.
        candles: path of a CSV with candles for the fake ticker; empty for seeded ones.
    """

    seed: int = 0
    commit: str = "unknown"
    sabotage: str = ""
    candles: str = ""


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """How a world is made, live or simulated.

    Attributes:
        context: what it shares with the other runs of the command.
        scenario: name for the history.
        settings: laid over the defaults of the service (nested objects merge).
        durable: the store keeps what it acknowledged.
        absent: fake downstreams that are not there at all.
        latency_s: how long each fake downstream takes to answer, by name.
        redis_url: a Redis of the caller's instead of ours (live).
        service_urls: downstreams of the caller's instead of the fake ones, by name (live).
        port: port of the service, 0 for a free one (live).
        proxied: put a Toxiproxy into every link of the service (live).
        named: the service knows its downstreams by name (``ticker.localhost``) instead of address (live).
        environment: further variables for the service's process.
        canaries: planted secrets; ``keep``: harmless texts that must stay unchanged.
        echo: called with each line that the service writes (live).
    """

    context: RunContext = field(default_factory=RunContext)
    scenario: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    durable: bool = True
    absent: tuple[str, ...] = ()
    latency_s: Mapping[str, float] = field(default_factory=dict)
    redis_url: str = ""
    service_urls: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    proxied: bool = True
    named: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    canaries: tuple[Mapping[str, str], ...] = ()
    keep: tuple[str, ...] = ()
    echo: Callable[[str], None] | None = None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid over ``base``; nested objects merge, everything else is replaced."""
    merged = copy.deepcopy(dict(base))
    for name, value in over.items():
        inner = merged.get(name)
        merged[name] = merge(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return merged


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that the service uses."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _LIBRARIES}}


def wrong_settings(over: Mapping[str, Any]) -> list[str]:
    """What the service would not start with, a line for each field: ``field: what is wrong``."""
    from signal_service.config.settings import SettingsError, build  # noqa: PLC0415 - its schema takes a while to make

    urls = dict.fromkeys(NAMES, "http://127.0.0.1:1")
    own = Secrets.draw(0).settings(port=1, redis_url="redis://127.0.0.1:1/0", audit_path="audit.jsonl", urls=urls)
    try:
        build(merge(own, over))
    except SettingsError as error:
        return error.problems
    return []
