"""What a world can be hurt by: asked before anything is broken, so that a session ends as it was planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hardening.faults.base import Fault
from hardening.faults.network import HTTP_LINKS, LINKS, NETWORK_FAULTS, LinkFault
from hardening.toxics import OWN_TYPES

OWN_TOXICS = frozenset(
    fault.kind for fault in NETWORK_FAULTS if issubclass(fault, LinkFault) and fault.toxic in OWN_TYPES
)
"""Kinds that only the embedded proxy can do; the real Toxiproxy does not know their toxics."""

NEEDS_REDIS_PROCESS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("redis_killed", "redis_shutdown", "redis_restarted", "redis_stopped"),
            "a Redis whose process is ours (this one is reached by commands only)",
        ),
        "redis_refusing": "a Redis whose process is ours: were its one open connection lost, nobody could heal it",
        "redis_loading": "a Redis on this machine: it has to reach a master of ours",
    }
)


@dataclass(frozen=True, slots=True)
class Support:
    """What one world can be hurt by.

    Attributes:
        world: its name, for people.
        targets: ``(protocol, name)`` of everything that it offers.
        own_toxics: its proxy is the embedded one.
        redis_process: it may end and start its Redis.
    """

    world: str
    targets: frozenset[tuple[str, str]]
    own_toxics: bool = True
    redis_process: bool = True

    def refusal(self, fault: Fault) -> str:
        """What the fault would need that this world has not; empty when it can be done."""
        if (fault.protocol, fault.target) not in self.targets:
            offered = ", ".join(sorted(name for protocol, name in self.targets if protocol == fault.protocol))
            return f"a world with a {fault.protocol} {fault.target} ({self.world} has {offered or 'none'})"
        if fault.kind in OWN_TOXICS and not self.own_toxics:
            return "the embedded Toxiproxy (the real one does not know this toxic)"
        if not self.redis_process:
            return NEEDS_REDIS_PROCESS.get(fault.kind, "")
        return ""


def live_support(*, own_toxics: bool, own_redis: bool = True) -> Support:
    """The live world: everything but hosts of our own."""
    inside = ("process", "resources", "clock", "event_loop", "files", "listener")
    targets = {(protocol, "service") for protocol in inside}
    targets |= {("link", name) for name in LINKS}
    targets |= {("downstream", name) for name in HTTP_LINKS} | {("names", name) for name in LINKS}
    targets |= {("redis", "redis")} if own_redis else set()
    return Support("the live world", frozenset(targets), own_toxics=own_toxics)


def staging_support(links: frozenset[str], *, own_toxics: bool, redis: bool) -> Support:
    """Somebody's staging stack: links behind its Toxiproxy, its listener, and perhaps its Redis by commands."""
    targets = {("link", name) for name in links} | {("listener", "service")}
    targets |= {("redis", "redis")} if redis else set()
    return Support("the target", frozenset(targets), own_toxics=own_toxics, redis_process=False)
