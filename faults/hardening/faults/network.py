"""Network faults: one toxic on one link of the world, or the link being down.

``NETWORK_FAULTS`` says for each kind which toxic it adds and how its fields (times in ms, sizes in bytes) become the
toxic's attributes; ``Toxic.read_attributes`` checks them. The effect is what the proxy counted between inject and heal:
the toxic's own effects where the proxy counts them (ours does), else the bytes that passed (a real Toxiproxy, which
counts a connection's bytes only when it has ended). Errors: ``FaultError`` for a bad field, ``HealError`` when the
toxic is still there.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from typing import Any, ClassVar

from hardening.faults.base import Effect, Fault, FaultError, HealError
from hardening.faults.targets import Link
from hardening.toxics import TYPES, Attribute, AttributeRefusedError

HTTP_LINKS = ("ticker", "user", "alert", "comms")
LINKS = ("redis", *HTTP_LINKS)
_PASSED_PREFIX = "received_bytes_"


@dataclass(frozen=True, slots=True)
class ToxicToken:
    """What ``heal`` needs: the toxic's name, and the counts before it was there."""

    name: str
    before: Mapping[str, float]


def _grown_counts(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """By how much each count grew, those that did."""
    return {key: amount - before.get(key, 0.0) for key, amount in after.items() if amount > before.get(key, 0.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFault(Fault):
    """Base: a toxic is added on inject and removed, verified, on heal.

    Class attributes:
        toxic: its type in the API.
        fields: the toxic's attribute that each field sets, and the values the field takes.
        passing_suffices: bytes that passed are an effect where the proxy does not count the toxic's own.
    """

    protocol: ClassVar[str] = "link"
    targets: ClassVar[tuple[str, ...]] = LINKS
    toxic: ClassVar[str]
    fields: ClassVar[Mapping[str, tuple[str, Attribute]]]
    passing_suffices: ClassVar[bool] = True

    target: str = "redis"
    stream: str = "downstream"
    toxicity: float = 1.0

    def validate(self) -> None:
        """Check stream and toxicity; the toxic checks the rest."""
        if self.stream not in {"upstream", "downstream"}:
            raise FaultError("fault.stream", self.stream, "upstream, downstream")
        if not 0 < self.toxicity <= 1:
            raise FaultError("fault.toxicity", self.toxicity, "above 0 and up to 1")
        names = {attribute: name for name, (attribute, _) in self.fields.items()}
        attributes = self.attributes()
        try:
            for attribute, values in self.fields.values():
                values.read(attribute, attributes[attribute])
            TYPES[self.toxic].read_attributes(attributes)
        except AttributeRefusedError as error:
            allowed = error.allowed
            for attribute, name in names.items():
                allowed = allowed.replace(attribute, name)
            raise FaultError(f"fault.{names[error.attribute]}", error.value, allowed) from error

    def attributes(self) -> dict[str, Any]:
        """The toxic's attributes as the API takes them."""
        given = {attribute: getattr(self, name) for name, (attribute, _) in self.fields.items()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    async def inject(self, target: Link) -> object:
        """Add the toxic."""
        before = dict(await target.counters())
        name = await target.add_toxic(self.toxic, self.stream, self.toxicity, self.attributes())
        return ToxicToken(name, before)

    async def heal(self, target: Link, token: object) -> Effect:
        """Remove it; an inject that failed left nothing behind."""
        if not isinstance(token, ToxicToken):
            return Effect()
        try:
            await target.remove_toxic(token.name)
        except Exception as error:
            raise HealError(f"toxic {token.name} could not be removed from {self.target}: {error}") from error
        after = await target.counters()
        grown = _grown_counts(token.before, after)
        prefix = f"toxic.{token.name}."
        effects = {key.removeprefix(prefix): amount for key, amount in grown.items() if key.startswith(prefix)}
        counts_effects = any(key == "connections" or key.startswith("toxic.") for key in after)
        if effects or counts_effects or not self.passing_suffices:
            return Effect(effects)
        return Effect({"passed_bytes": grown.get(f"{_PASSED_PREFIX}{self.stream}", 0.0)})


@dataclass(frozen=True, slots=True, kw_only=True)
class NetDown(Fault):
    """The link is cut: live connections drop, new ones are refused."""

    kind: ClassVar[str] = "net_down"
    protocol: ClassVar[str] = "link"
    targets: ClassVar[tuple[str, ...]] = LINKS
    summary: ClassVar[str] = "drop all connections and refuse new ones"
    drawn = ({},)

    target: str = "redis"

    async def inject(self, target: Link) -> object:
        """Cut it."""
        before = dict(await target.counters())
        await target.set_enabled(False)
        return ToxicToken("", {**before, "down": 0.0})

    async def heal(self, target: Link, token: object) -> Effect:
        """Bring it up. The kernel refuses connections and counts none; the dropped connections are counted."""
        try:
            await target.set_enabled(True)
        except Exception as error:
            raise HealError(f"link {self.target} could not be enabled: {error}") from error
        if not isinstance(token, ToxicToken):
            return Effect()
        grown = _grown_counts(token.before, await target.counters())
        if "dropped" in grown:
            return Effect({"dropped_connections": grown["dropped"]})
        # The real one counts bytes only, when a connection ends: any growth now is a connection that was dropped.
        ended = sum(amount for key, amount in grown.items() if key.startswith(_PASSED_PREFIX))
        return Effect({"bytes_of_dropped_connections": ended})


_FIELD_TYPES: Mapping[type, Any] = {list: tuple[str, ...], dict: Mapping[str, str]}
_Fields = Mapping[str, tuple[str, Attribute]]


def _count(attribute: str, default: int, low: int = 0) -> tuple[str, Attribute]:
    return attribute, Attribute(int, default, low=low)


def _share(attribute: str, default: float) -> tuple[str, Attribute]:
    return attribute, Attribute(float, default, low=1e-9, high=1)


def _words(attribute: str, default: str = "") -> tuple[str, Attribute]:
    return attribute, Attribute(str, default)


def _fault(kind: str, toxic: str, summary: str, fields: _Fields, **more: Any) -> type[LinkFault]:
    """The fault that adds ``toxic``; ``more`` are class attributes, and ``stream`` the default of that field."""
    columns: list[Any] = [("target", str, field(default=more.get("targets", LINKS)[0]))]
    columns.append(("stream", str, field(default=more.pop("stream", "downstream"))))
    for name, (_, values) in fields.items():
        default = values.default
        given = field(default_factory=dict) if values.kind is dict else field(default=default)
        columns.append((name, _FIELD_TYPES.get(values.kind, values.kind), given))
    text = inspect.getdoc(TYPES[toxic])
    data = {"kind": kind, "toxic": toxic, "summary": summary, "fields": fields, "__doc__": text, **more}
    options: Any = {"frozen": True, "slots": True, "kw_only": True, "namespace": {"__module__": __name__, **data}}
    return make_dataclass(kind, columns, bases=(LinkFault,), **options)


NETWORK_FAULTS: tuple[type[Fault], ...] = (
    _fault(
        *("net_latency", "latency", "delay every byte by latency_ms +/- jitter_ms"),
        {"latency_ms": _count("latency", 100, 1), "jitter_ms": _count("jitter", 0)},
        variants=({"latency_ms": 300, "jitter_ms": 200},),
        drawn=({"latency_ms": (20, 200, 1500), "jitter_ms": 10},),
    ),
    _fault(
        *("net_bandwidth", "bandwidth", "let rate_kb_per_s pass; 0 passes nothing and closes nothing"),
        {"rate_kb_per_s": _count("rate", 10)},
        variants=({"rate_kb_per_s": 2},),
        drawn=({"rate_kb_per_s": (2, 10)},),
    ),
    _fault(
        *("net_reset", "reset_peer", "reset both sockets timeout_ms after the first bytes"),
        {"timeout_ms": _count("timeout", 0)},
        drawn=({},),
    ),
    _fault(
        *("net_timeout", "timeout", "drop all bytes, close after timeout_ms without any (0: never)"),
        {"timeout_ms": _count("timeout", 0)},
        drawn=({},),
    ),
    _fault(
        *("net_slicer", "slicer", "cut bytes into pieces of average_bytes, delay_us apart"),
        {
            "average_bytes": _count("average_size", 16, 1),
            "variation_bytes": _count("size_variation", 0),
            "delay_us": _count("delay", 1000),
        },
        variants=({"average_bytes": 12, "delay_us": 2000},),
        drawn=({},),
    ),
    _fault(
        *("net_limit_data", "limit_data", "close each connection after exactly limit_bytes"),
        {"limit_bytes": _count("bytes", 100)},
        variants=({"limit_bytes": 150},),
        drawn=({"limit_bytes": (20, 100, 1000)},),
        passing_suffices=False,
    ),
    _fault(
        *("net_slow_close", "slow_close", "delay the close of connections by delay_ms"),
        {"delay_ms": _count("delay", 1000, 1)},
        variants=({"delay_ms": 800},),
        passing_suffices=False,
    ),
    NetDown,
    _fault(
        *("connect_delay", "connect_delay", "wait delay_ms +/- jitter_ms before dialling the target"),
        {"delay_ms": _count("delay", 500, 1), "jitter_ms": _count("jitter", 0)},
        variants=({"delay_ms": 700},),
        drawn=({"delay_ms": (300, 2500)},),
    ),
    _fault(
        *("connect_refuse", "connect_refuse", "reset new connections right after the accept, leave live ones alone"),
        {},
        drawn=({},),
    ),
    _fault(
        *("fail_first", "fail_first", "reset the first N connections, or those of the first N requests"),
        {"connections": _count("connections", 1), "requests": _count("requests", 0)},
        variants=({"connections": 0, "requests": 3},),
        variant_targets=HTTP_LINKS,
    ),
    _fault(
        *("net_loss", "loss", "stall the stream as lost segments do: probability for each 1,460 bytes"),
        {"probability": _share("probability", 0.05), "retransmit_ms": _count("delay", 200, 1)},
        variants=({"probability": 0.1},),
        drawn=({"probability": (0.02, 0.2)},),
    ),
    _fault(
        *("net_corrupt", "corrupt", "flip a bit in each byte that is hit, with probability"),
        {"probability": _share("probability", 0.01)},
        variants=({"probability": 0.01},),
        variant_targets=HTTP_LINKS,
        drawn=({"probability": (0.0005, 0.01)},),
    ),
    _fault(
        *("http_error", "http_error", "answer matching HTTP requests with status, headers and body"),
        {
            "status": ("status", Attribute(int, 503)),
            "headers": ("headers", Attribute(dict)),
            "body": _words("body"),
            "path": _words("path"),
            "method": _words("method"),
            "times": _count("times", 0),
        },
        targets=HTTP_LINKS,
        stream="upstream",
        slot="http",
        variants=({"status": 503},),
        drawn=({"status": (503, 500, 429)},),
    ),
    _fault(
        *(
            "redis_error",
            "redis_error",
            "answer matching commands with LOADING, READONLY, OOM, MOVED or any line",
        ),
        {
            "error": _words("error", "LOADING"),
            "commands": ("commands", Attribute(list, ())),
            "times": _count("times", 0),
        },
        targets=("redis",),
        stream="upstream",
        variants=({"error": "LOADING"}, {"error": "READONLY"}, {"error": "OOM command not allowed"}),
    ),
    _fault(
        *(
            "half_close",
            "half_close",
            "end one direction after limit_bytes (0: when its source ends) and keep the other",
        ),
        {"limit_bytes": _count("bytes", 100)},
        variants=({"limit_bytes": 100},),
        drawn=({"limit_bytes": (10, 100)},),
    ),
)
