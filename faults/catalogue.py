"""Every fault there is, by name: an explicit dict, no registration by import."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from faults.base import Fault, FaultError, FaultSpec
from faults.process_signals import ProcessSignal
from faults.redis_outage import RedisKilled

CATALOGUE: Mapping[str, type[Fault]] = MappingProxyType({fault.kind: fault for fault in (RedisKilled, ProcessSignal)})


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
