"""Health: what the service knows of itself and of those it depends on, learnt from its own events.

``/health`` says that the loop turns. ``/ready`` says whether to send requests here; to a key that may see it, why.
"""

from __future__ import annotations

from typing import Any, Literal

from signal_service.observability.events import EventBus

Phase = Literal["starting", "ready", "draining"]


class Health:
    """The state behind ``/ready``.

    Attributes:
        phase: where in its life the service is.
        durability: what the store promises: ``durable``, ``volatile`` or ``unknown``.
    """

    def __init__(self, bus: EventBus) -> None:
        self.phase: Phase = "starting"
        self.durability = "unknown"
        self._absent: set[str] = set()
        self._breakers: dict[str, str] = {}
        self._redis = "up"
        self._audit = "up"
        self._level = "none"
        bus.listen(("startup",), self._on_startup)
        bus.listen(("breaker",), lambda _, __, fields: self._breakers.update({fields["name"]: fields["new"]}))
        bus.listen(("redis",), self._on_redis)
        bus.listen(("audit",), self._on_audit)
        bus.listen(("level",), self._on_level)

    def _on_startup(self, _: str, __: str, fields: dict[str, Any]) -> None:
        if fields["phase"] == "absent":
            self._absent.add(fields["dependency"])
        elif fields["phase"] in {"up", "late"} and "dependency" in fields:
            self._absent.discard(fields["dependency"])

    def _on_redis(self, _: str, __: str, fields: dict[str, Any]) -> None:
        if fields["event"] in {"lost", "back"}:
            self._redis = "down" if fields["event"] == "lost" else "up"
        if "durable" in fields or fields["event"] == "volatile":
            self.durability = "durable" if fields.get("durable") else "volatile"

    def _on_audit(self, _: str, __: str, fields: dict[str, Any]) -> None:
        self._audit = "down" if fields["event"] == "failed" else "up"

    def _on_level(self, _: str, __: str, fields: dict[str, Any]) -> None:
        self._level = fields["new"]

    def absent(self) -> tuple[str, ...]:
        """The optional dependencies that have not been seen yet."""
        return tuple(sorted(self._absent))

    def breakers(self) -> dict[str, str]:
        """Each breaker that ever moved, and its state."""
        return dict(sorted(self._breakers.items()))

    def reasons(self) -> list[str]:
        """Why the service is degraded; empty when it is not."""
        found = [f"{name} absent" for name in self.absent()]
        found += [f"breaker {name} {state}" for name, state in self.breakers().items() if state != "closed"]
        if self._redis == "down":
            found.append("redis down")
        if self._audit == "down":
            found.append("audit log cannot be written")
        if self.durability == "volatile":
            found.append("store is volatile")
        if self._level in {"moderate", "heavy"}:
            found.append(f"level {self._level}")
        return found

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Status and public body of ``/ready``: a degraded service is ready, a starting or draining one is not."""
        degraded = bool(self.reasons())
        ready = self.phase == "ready"
        status = ("degraded" if degraded else "ready") if ready else self.phase
        return (200 if ready else 503), {"status": status, "ready": ready, "degraded": degraded}

    def detail(self) -> dict[str, Any]:
        """What a key with the scope ``metrics`` or ``admin`` may see beside it."""
        return {
            "reasons": self.reasons(),
            "level": self._level,
            "breakers": self.breakers(),
            "durability": self.durability,
            "dependencies": {"redis": self._redis, **dict.fromkeys(self.absent(), "absent")},
            "audit": self._audit,
        }
