"""What a fault is: data, a target it acts on, and a bite that says whether it did anything.

A fault is a frozen dataclass (its parameters) with a ``kind``, the name of the target protocol it needs, and
``inject`` / ``heal``. Worlds implement the target protocols they can; a fault knows no world. The same fault
therefore serves the live world (real processes) and the simulated one.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self, get_args, get_origin, get_type_hints, runtime_checkable


class FaultError(ValueError):
    """A fault that cannot be: one line that names the field, the value and what is allowed.

    Attributes:
        field: the field that is wrong, dotted from the fault (``fault.kind``, ``at_s`` ...).
        value: what was given.
        allowed: what would have been right.
    """

    def __init__(self, field_name: str, value: object, allowed: str) -> None:
        super().__init__(f"{field_name} is {value!r}, allowed: {allowed}")
        self.field = field_name
        self.value = value
        self.allowed = allowed


class UnsupportedTargetError(FaultError):
    """The world lacks the target that the fault acts on."""


class HealError(RuntimeError):
    """Healing was tried and could not be verified; the message names what is still broken."""


@dataclass(frozen=True, slots=True)
class Bite:
    """Whether a fault did anything, in counts (names end in their unit).

    ``bit`` is false when every count is zero: a scenario whose fault never bit is UNKNOWN.
    """

    counts: Mapping[str, float] = field(default_factory=dict)

    @property
    def bit(self) -> bool:
        """True when any count is above zero."""
        return any(count > 0 for count in self.counts.values())


# --- targets: what a fault acts on; worlds implement those they can ------------------------------------------


@runtime_checkable
class Process(Protocol):
    """A process of the world (``service``)."""

    async def signal(self, number: int) -> None:
        """Send a signal; raises ProcessLookupError when it is not running."""

    async def alive(self) -> bool:
        """True while it runs or is stopped (not a zombie)."""

    async def stopped(self) -> bool:
        """True while it is under SIGSTOP."""

    async def start(self) -> None:
        """Start it again after it ended, and wait until it serves."""


@runtime_checkable
class RedisServer(Protocol):
    """A Redis or Valkey server of ours."""

    async def kill(self) -> None:
        """End it by SIGKILL and wait until it is gone."""

    async def shutdown(self) -> None:
        """End it gracefully."""

    async def restart(self, *, keep_data: bool = True) -> None:
        """Start it on the same port, with or without its data, and wait until it answers."""

    async def pause(self) -> None:
        """Stop it by SIGSTOP."""

    async def resume(self) -> None:
        """Continue it."""

    async def alive(self) -> bool:
        """True when it answers PING within half a second."""

    async def command(self, *words: str | bytes | int) -> Any:
        """Run one administrative command on a connection of its own."""


@runtime_checkable
class RedisSession(Protocol):
    """One connection to a Redis server, kept open: it outlives a server that accepts no new ones."""

    async def command(self, *words: str | bytes | int) -> Any:
        """Run one command on it."""

    async def close(self) -> None:
        """Close it."""


@runtime_checkable
class RedisSessions(Protocol):
    """What a ``RedisServer`` offers besides when its process is ours."""

    async def session(self) -> RedisSession:
        """Open a connection that stays."""

    async def running(self) -> bool:
        """True while there is a process, answering or not."""


@runtime_checkable
class Moments(Protocol):
    """What a ``Process`` offers besides when its world can see what the process is doing."""

    async def reached(self, moment: str, deadline_s: float) -> bool:
        """Wait for ``before_first_byte``, ``mid_request``, ``mid_reload`` or ``in_drain``.

        False when ``deadline_s`` seconds passed first.
        """


@runtime_checkable
class Link(Protocol):
    """A network link through a Toxiproxy-compatible proxy (``redis``, ``ticker`` ...)."""

    async def add_toxic(self, toxic: str, stream: str, toxicity: float, attributes: Mapping[str, Any]) -> str:
        """Add a toxic and return its name."""

    async def remove_toxic(self, name: str) -> None:
        """Remove it."""

    async def set_enabled(self, enabled: bool) -> None:
        """Bring the link up or down."""

    async def counters(self) -> Mapping[str, float]:
        """Counts of what passed and what was hurt, since the link began."""


@runtime_checkable
class Resources(Protocol):
    """Memory, processor time and descriptors of the service's process, and its neighbours on the machine.

    The resources: ``memory_bytes`` (held by ballast), ``memory_headroom_bytes`` (the cgroup's limit falls to what
    is in use plus so much), ``address_space_bytes`` (the same by RLIMIT_AS), ``cpu_share`` (burnt by threads),
    ``cpu_quota`` (the cgroup's quota in cores), ``descriptors_spare`` (all are taken but so many),
    ``neighbours`` (processes that burn a core each).
    """

    async def hold(self, resource: str, amount: float) -> Mapping[str, Any]:
        """Take it; says which ``means`` it used. Raises UnsupportedTargetError when it has none."""

    async def release(self, resource: str) -> Mapping[str, float]:
        """Give it back; returns counts. What is not held is no error (and no counts)."""

    async def reading(self, resource: str) -> float:
        """The service's own reading of it, or, where it has none, the reading from outside."""


@runtime_checkable
class Clock(Protocol):
    """The wall clock of a process."""

    async def jump(self, offset_s: float) -> None:
        """Set the wall clock off by ``offset_s`` seconds from the truth; 0 heals."""

    async def drift(self, rate: float) -> None:
        """Let the wall clock run ``rate`` times as fast; 1 heals."""

    async def offset(self) -> float:
        """How far the process's wall clock is off now, in seconds."""


@runtime_checkable
class EventLoop(Protocol):
    """The event loop of the service's process."""

    async def stall(self, seconds: float) -> None:
        """Block it once for so long."""

    async def lag_ms(self) -> float:
        """The largest lag seen since the last call, in ms."""


@runtime_checkable
class Files(Protocol):
    """The files a process writes (audit log, logs)."""

    async def fill(self, where: str) -> None:
        """Make every further write to ``audit`` or ``logs`` fail as on a full disk."""

    async def drain(self, where: str) -> None:
        """Make room again."""

    async def refused(self, where: str) -> int:
        """How many writes failed since ``fill``."""


@runtime_checkable
class Downstream(Protocol):
    """A downstream's HTTP answers (``ticker``, ``user``, ``alert``, ``comms``)."""

    async def misbehave(self, fault: Mapping[str, Any] | None) -> None:
        """Answer as the fault says (``None`` heals)."""

    async def hurt(self) -> int:
        """How many answers were altered since the fault was set."""


@runtime_checkable
class Listener(Protocol):
    """The service's listening address, as clients of ill will see it."""

    def address(self) -> tuple[str, int]:
        """Host and port."""

    def headers(self) -> Mapping[str, str]:
        """Headers with which a client of good standing is let in."""


@runtime_checkable
class Names(Protocol):
    """How a process looks up the host name of one downstream."""

    async def fail(self, how: str, delay_s: float) -> None:
        """Fail each look-up: ``not_found``, ``try_again`` or ``slow`` (right, but ``delay_s`` late)."""

    async def restore(self) -> None:
        """Look it up as before."""

    async def hurt(self) -> int:
        """How many look-ups were hurt since ``fail``."""


@runtime_checkable
class Hosts(Protocol):
    """Hosts of our own with a router between them."""

    async def part(self) -> None:
        """Let the router drop every packet, silently."""

    async def join(self) -> None:
        """Let it forward again; raises HealError when it does not."""

    async def lost(self) -> int:
        """How many packets it dropped since ``part``."""


TARGETS: Mapping[str, type] = {
    "process": Process,
    "redis": RedisServer,
    "link": Link,
    "resources": Resources,
    "clock": Clock,
    "event_loop": EventLoop,
    "files": Files,
    "downstream": Downstream,
    "listener": Listener,
    "names": Names,
    "hosts": Hosts,
}


class World(Protocol):
    """Hands out targets by name; implemented by the live and the simulated world."""

    def target(self, protocol: str, name: str) -> object:
        """The target ``name`` of a ``TARGETS`` protocol.

        Raises:
            UnsupportedTargetError: when this world has no such target.
        """


_UNITS = frozenset({"s", "ms", "bytes", "mb"})

# --- faults --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(ABC):
    """Base of every fault. Subclasses are frozen dataclasses whose fields are plain JSON values.

    Class attributes:
        kind: its name in schedules and in the catalogue.
        protocol: the ``TARGETS`` protocol it acts on.
        targets: target names that make sense; the first is the default.
        summary: one line for a person.
        signed: fields that may be below zero although their names end in a unit.
    """

    kind: ClassVar[str]
    protocol: ClassVar[str]
    targets: ClassVar[tuple[str, ...]]
    summary: ClassVar[str]
    signed: ClassVar[tuple[str, ...]] = ()

    target: str

    def __post_init__(self) -> None:
        if self.target not in self.targets:
            raise FaultError("fault.target", self.target, ", ".join(self.targets))
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            unit = spec.name.rpartition("_")[2]
            if unit in _UNITS and spec.name not in self.signed and value is not None and value < 0:
                raise FaultError(f"fault.{spec.name}", value, "0 or more")
        self.validate()

    def validate(self) -> None:
        """Refuse impossible parameters; for a fault without any there is nothing to refuse.

        Raises:
            FaultError: naming the field.
        """
        return

    @abstractmethod
    async def inject(self, target: Any) -> object:
        """Break it. Returns a token that ``heal`` gets back (names of toxics, readings before)."""

    @abstractmethod
    async def heal(self, target: Any, token: object) -> Bite:
        """Mend it, verify that it is mended, and report the bite. Safe to call after a failed inject.

        Raises:
            HealError: when it is still broken.
        """

    def to_json(self) -> dict[str, Any]:
        """``{"kind": ..., "target": ..., parameter: value ...}``."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build from the JSON object; an unknown field or a wrong type is one clear line.

        Raises:
            FaultError: naming the field, the value and what is allowed.
        """
        names = {f.name: f for f in dataclasses.fields(cls)}
        for key in data:
            if key not in names and key != "kind":
                raise FaultError(f"fault.{key}", data[key], "one of " + ", ".join(sorted(names)))
        hints = get_type_hints(cls)
        given: dict[str, Any] = {}
        for name, spec in names.items():
            if name in data:
                given[name] = check_type(f"fault.{name}", data[name], hints[name])
            elif name == "target":
                given[name] = cls.targets[0]
            elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
                raise FaultError(f"fault.{name}", None, "a value (the field is required)")
        return cls(**given)


def check_type(name: str, value: Any, hint: Any) -> Any:
    """``value`` as ``hint`` wants it (an int serves as a float; a bool never as a number).

    Raises:
        FaultError: when it is of another type, or not finite.
    """
    origin = get_origin(hint)
    if origin is not None and type(None) in get_args(hint):
        if value is None:
            return None
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return check_type(name, value, inner[0]) if len(inner) == 1 else value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise FaultError(name, value, "a finite number")
        return float(value)
    if hint is int and (not isinstance(value, int) or isinstance(value, bool)):
        raise FaultError(name, value, "a whole number")
    plain = origin or hint
    if plain is Mapping or plain is dict:
        plain = Mapping
    if plain is tuple and isinstance(value, list):
        return tuple(value)
    if isinstance(plain, type) and not isinstance(value, plain):
        raise FaultError(name, value, f"a {getattr(plain, '__name__', plain)}")
    return value


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """A fault as data, before it is known whether a world can do it: the JSON object, nothing built."""

    kind: str
    target: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """``{"kind", "target", parameter ...}``."""
        data: dict[str, Any] = {"kind": self.kind, **self.parameters}
        if self.target:
            data["target"] = self.target
        return data

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Split the JSON object.

        Raises:
            FaultError: when there is no ``kind`` or it is no object.
        """
        if not isinstance(data, Mapping):
            raise FaultError("fault", data, "an object with at least 'kind'")
        kind = data.get("kind")
        target = data.get("target", "")
        if not isinstance(kind, str):
            raise FaultError("fault.kind", kind, "the name of a fault")
        if not isinstance(target, str):
            raise FaultError("fault.target", target, "the name of a target")
        return cls(kind, target, {k: v for k, v in data.items() if k not in {"kind", "target"}})
