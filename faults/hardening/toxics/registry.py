"""All toxics by the name they have on the wire."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.toxics.base import Toxic
from hardening.toxics.connect import ConnectDelay, ConnectRefuse, FailFirst
from hardening.toxics.ending import Corrupt, HalfClose, LimitData, ResetPeer, Timeout
from hardening.toxics.exchange import HttpError, RedisError
from hardening.toxics.timing import Bandwidth, Latency, Loss, Slicer, SlowClose

TOXIPROXY_TYPES: Mapping[str, type[Toxic]] = {
    "bandwidth": Bandwidth,
    "latency": Latency,
    "limit_data": LimitData,
    "noop": Toxic,
    "reset_peer": ResetPeer,
    "slicer": Slicer,
    "slow_close": SlowClose,
    "timeout": Timeout,
}
OWN_TYPES: Mapping[str, type[Toxic]] = {
    "connect_delay": ConnectDelay,
    "connect_refuse": ConnectRefuse,
    "corrupt": Corrupt,
    "fail_first": FailFirst,
    "half_close": HalfClose,
    "http_error": HttpError,
    "loss": Loss,
    "redis_error": RedisError,
}
TYPES: Mapping[str, type[Toxic]] = {**TOXIPROXY_TYPES, **OWN_TYPES}
