"""Settings that a user lays over those of a world, checked by the service's own rules before anything is booted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scenarios.worlds.downstreams import NAMES
from scenarios.worlds.keys import Secrets
from scenarios.worlds.live import merge


def wrong_settings(over: Mapping[str, Any]) -> list[str]:
    """What the service would not start with, a line for each field: ``field: what is wrong``."""
    from service.settings import SettingsError, build  # noqa: PLC0415 - its schema takes a while to make

    secrets = Secrets.draw(0)
    own = {
        "environment": "test",
        "redis_url": "redis://127.0.0.1:6379/0",
        "service_token": secrets.service_token,
        "api_keys": secrets.api_keys(),
        "downstreams": {name: {"url": "http://127.0.0.1:1"} for name in NAMES},
    }
    try:
        build(merge(own, over))
    except SettingsError as error:
        return error.problems
    return []
