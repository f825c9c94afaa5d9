"""Wrong, slow or missing HTTP answers of one downstream.

In: the way to go wrong (``how``), a status, times in ms; out: a fault on the ``downstream`` target, whose world answers
in the downstream's place. The effect counts the answers that were altered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hardening.faults.base import Effect, Fault, between, one_of
from hardening.faults.targets import Downstream

HOW = (
    *("status", "latency", "hang", "dripped_body", "dripped_head", "truncated_body", "wrong_content_type"),
    *("invalid_json", "oversize_body", "wrong_shape", "redirect_loop", "garbage_after", "reset"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFault(Fault):
    """Answers of one downstream go wrong in one way (``how``).

    ``status`` answers ``status`` with ``body``; ``latency`` waits ``latency_ms`` before the answer; the drips
    wait so long between bytes; ``garbage_after`` sends bytes that nobody asked for after a good answer, so that
    the next request on the same connection meets them; ``path_prefix`` narrows it.
    """

    kind: ClassVar[str] = "http_fault"
    protocol: ClassVar[str] = "downstream"
    targets: ClassVar[tuple[str, ...]] = ("ticker", "user", "alert", "comms")
    summary: ClassVar[str] = "let a downstream answer wrongly, slowly or not at all"
    slot = "http"
    variants = (
        {"how": "status", "status": 500},
        {"how": "status", "status": 429},
        {"how": "latency", "latency_ms": 700.0},
        {"how": "hang"},
        {"how": "dripped_body", "latency_ms": 40.0},
        {"how": "dripped_head", "latency_ms": 40.0},
        *({"how": how} for how in ("truncated_body", "invalid_json", "wrong_shape", "wrong_content_type", "reset")),
    )
    drawn = ({"how": HOW, "status": (500, 503, 429, 404), "latency_ms": (50.0, 300.0, 3000.0)},)

    target: str = "ticker"
    how: str = "status"
    status: int = 500
    latency_ms: float = 0.0
    path_prefix: str = ""
    body: str = ""
    spare_health: bool = False

    def validate(self) -> None:
        """A known way to go wrong, a status that is one."""
        one_of("how", self.how, HOW)
        between("status", self.status, 200, 599)
        between("latency_ms", self.latency_ms, 0, 600_000)

    def wire(self) -> dict[str, Any]:
        """The misbehaviour as the ``Downstream`` target takes it (seconds, ``kind``)."""
        return {
            "kind": self.how,
            "status": self.status,
            "latency_s": self.latency_ms / 1000,
            "path_prefix": self.path_prefix,
            "body": self.body,
            "spare_health": self.spare_health,
        }

    async def inject(self, target: Downstream) -> object:
        """Misbehave from now on."""
        await target.misbehave(self.wire())
        return True

    async def heal(self, target: Downstream, token: object) -> Effect:
        """Behave; says how many answers were hurt."""
        hurt = await target.hurt() if token else 0
        await target.misbehave(None)
        return Effect({"answers_hurt": float(hurt)})
