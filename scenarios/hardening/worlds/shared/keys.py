"""The secrets of a world, drawn from its seed: API keys, the service token, the Redis password.

They are real credentials of the run and canaries at once: none may appear in anything the service writes.
"""

from __future__ import annotations

import hashlib
import random
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hardening.worlds.shared.client import Credentials

_ALPHABET = string.ascii_letters + string.digits
INACTIVE = frozenset({"inactive"})
"""Users who are entitled to nothing: so the user service says, and so the record of what they ask."""
LIMITED: Mapping[str, tuple[str, ...]] = {"erin": ("AAPL", "MSFT")}
"""Users who may see some symbols only, and which."""

_OWNERS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    # name of the key: (user, priority, scopes)
    "demo": ("alice", "normal", ("signals", "alerts")),
    "high": ("bob", "high", ("signals", "alerts")),
    "low": ("carol", "low", ("signals", "alerts")),
    "reader": ("dave", "normal", ("signals",)),
    "inactive": ("inactive", "normal", ("signals", "alerts")),
    "operator": ("operator", "high", ("metrics", "admin")),
    "scraper": ("scraper", "high", ("metrics",)),
    "limited": ("erin", "normal", ("signals", "alerts")),
}


def _symbols_of(user: str) -> frozenset[str] | None:
    if user in INACTIVE:
        return frozenset()
    return frozenset(LIMITED[user]) if user in LIMITED else None


@dataclass(frozen=True, slots=True)
class Secrets:
    """Everything secret in one world."""

    keys: Mapping[str, Credentials]
    service_token: str
    redis_password: str
    audit_key: str

    @classmethod
    def draw(cls, seed: int) -> Secrets:
        """The same secrets for the same seed."""
        rng = random.Random(f"secrets-{seed}")

        def token(prefix: str, length: int) -> str:
            return prefix + "".join(rng.choice(_ALPHABET) for _ in range(length))

        keys = {
            name: Credentials(token("sk_", 32), user, rank, _symbols_of(user))
            for name, (user, rank, _) in _OWNERS.items()
        }
        return cls(keys, token("svc_", 40), token("", 24), token("", 32))

    def api_keys(self) -> list[dict[str, Any]]:
        """The service's ``api_keys`` setting: digests only."""
        return [
            {
                "id": name,
                "key_sha256": hashlib.sha256(self.keys[name].key.encode()).hexdigest(),
                "user": user,
                "scopes": list(scopes),
                "priority": priority,
            }
            for name, (user, priority, scopes) in _OWNERS.items()
        ]

    def settings(self, *, port: int, redis_url: str, audit_path: str, urls: Mapping[str, str]) -> dict[str, Any]:
        """What a world gives the service to start with; ``urls`` are those of the downstreams, by name."""
        return {
            "environment": "test",
            "host": "127.0.0.1",
            "port": port,
            "log_events": "all",
            "redis_url": redis_url,
            "service_token": self.service_token,
            "audit_key": self.audit_key,
            "audit_path": audit_path,
            "api_keys": self.api_keys(),
            "downstreams": {name: {"url": url} for name, url in urls.items()},
        }

    def canaries(self) -> tuple[dict[str, str], ...]:
        """For the header of the history."""
        own = [
            ("service_token", "own", self.service_token),
            ("redis_password", "own", self.redis_password),
            ("audit_key", "own", self.audit_key),
        ]
        keys = [(f"api_key_{name}", "api_key", credentials.key) for name, credentials in self.keys.items()]
        return tuple({"name": name, "kind": kind, "value": value} for name, kind, value in (*own, *keys))
