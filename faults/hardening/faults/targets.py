"""What a fault acts on: protocols that a world implements where it can, by name in ``TARGETS``.

Times are seconds unless a name says otherwise. A world without a target raises ``UnsupportedTargetError``; a method
that is refused by what it acts on raises the error of that (``OSError``, ``RedisError``, ``ProcessLookupError``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


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
    """The service's listening address, as abusive clients see it."""

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
