"""Every kind of fault by name, in explicit tuples; no class registers itself when it is imported.

In: the JSON object of a fault or a ``FaultSpec``; out: a checked ``Fault`` (``build``). An unknown kind or a bad
field is a ``FaultError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hardening.faults.base import Fault, FaultError, FaultSpec
from hardening.faults.client_faults import ConnectionFlood, DisconnectMidAnswer, HalfClosed, SlowBody, SlowHead
from hardening.faults.clock_skew import ClockDrift, ClockJump
from hardening.faults.disk_full import DiskFull, LogReaderBlocked
from hardening.faults.dns_failure import DnsFailure
from hardening.faults.http_faults import HttpFault
from hardening.faults.loop_stall import EventLoopStall
from hardening.faults.network import NETWORK_FAULTS
from hardening.faults.partition import NetworkPartition
from hardening.faults.process_signals import ProcessSignal
from hardening.faults.redis_entries import RedisEntriesDamaged, RedisExpiryStorm
from hardening.faults.redis_outage import RedisKilled, RedisRefusing, RedisRestarted, RedisShutdown, RedisStopped
from hardening.faults.redis_refusals import RedisEvicting, RedisLoading, RedisMemoryFull, RedisReadOnly
from hardening.faults.redis_stalls import RedisClientPause, RedisClientsKilled, RedisSlowCommands
from hardening.faults.resources import CpuPressure, DescriptorsExhausted, MemoryPressure, NoisyNeighbour

REDIS_FAULTS: tuple[type[Fault], ...] = (
    *(RedisKilled, RedisShutdown, RedisRestarted, RedisStopped, RedisRefusing),
    *(RedisMemoryFull, RedisEvicting, RedisReadOnly, RedisLoading),
    *(RedisClientPause, RedisSlowCommands, RedisClientsKilled),
    *(RedisEntriesDamaged, RedisExpiryStorm),
)
PROCESS_FAULTS: tuple[type[Fault], ...] = (
    *(ProcessSignal, MemoryPressure, CpuPressure, NoisyNeighbour, DescriptorsExhausted),
    *(EventLoopStall, ClockJump, ClockDrift, DiskFull, LogReaderBlocked),
)
OUTSIDE_FAULTS: tuple[type[Fault], ...] = (
    *(HttpFault, DnsFailure, NetworkPartition),
    *(SlowHead, SlowBody, HalfClosed, ConnectionFlood, DisconnectMidAnswer),
)

CATALOGUE: Mapping[str, type[Fault]] = MappingProxyType(
    {fault.kind: fault for fault in (*REDIS_FAULTS, *PROCESS_FAULTS, *OUTSIDE_FAULTS, *NETWORK_FAULTS)}
)


def build(data: object) -> Fault:
    """A checked fault from its JSON object or ``FaultSpec``.

    Raises:
        FaultError: for an unknown kind or a bad field, in one line.
    """
    spec = data if isinstance(data, FaultSpec) else FaultSpec.from_json(data)
    fault = CATALOGUE.get(spec.kind)
    if fault is None:
        raise FaultError("fault.kind", spec.kind, "one of " + ", ".join(sorted(CATALOGUE)))
    return fault.from_json(spec.to_json())
