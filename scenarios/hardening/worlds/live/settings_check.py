"""Settings that a user lays over those of a world, checked by the service's own rules before anything is booted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardening.worlds.live.world import merge
from hardening.worlds.shared.downstreams import NAMES
from hardening.worlds.shared.keys import Secrets


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
