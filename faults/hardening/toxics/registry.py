"""All toxics: two lists of classes, and the mapping by ``type`` that the API and the network faults read."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.toxics.bandwidth import Bandwidth
from hardening.toxics.base import Toxic
from hardening.toxics.connect_delay import ConnectDelay
from hardening.toxics.connect_refuse import ConnectRefuse
from hardening.toxics.corrupt import Corrupt
from hardening.toxics.fail_first import FailFirst
from hardening.toxics.half_close import HalfClose
from hardening.toxics.http_error import HttpError
from hardening.toxics.latency import Latency
from hardening.toxics.limit_data import LimitData
from hardening.toxics.loss import Loss
from hardening.toxics.redis_error import RedisError
from hardening.toxics.reset_peer import ResetPeer
from hardening.toxics.slicer import Slicer
from hardening.toxics.slow_close import SlowClose
from hardening.toxics.timeout import Timeout

TOXIPROXY = (Bandwidth, Latency, LimitData, Toxic, ResetPeer, Slicer, SlowClose, Timeout)
"""What any Toxiproxy can do."""
OWN = (ConnectDelay, ConnectRefuse, Corrupt, FailFirst, HalfClose, HttpError, Loss, RedisError)
"""What only our proxy can do."""

TYPES: Mapping[str, type[Toxic]] = {toxic.type: toxic for toxic in (*TOXIPROXY, *OWN)}
OWN_TYPES = frozenset(toxic.type for toxic in OWN)
