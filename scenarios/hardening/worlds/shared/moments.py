"""What a process is doing, read from the events that it logs: the moments at which a signal may be sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_moment(moment: str, event: object, fields: Mapping[str, Any]) -> bool:
    """Whether this event says that ``moment`` (see ``hardening.faults.targets.Moments``) has come."""
    if moment == "before_first_byte":
        return event in {"admitted", "permit_taken"}
    if moment == "mid_request":
        # The request waits for a downstream, or for another request that does.
        return event == "attempt" or (event == "cache" and fields.get("event") in {"load", "join"})
    return moment == "in_drain" and event == "drain" and fields.get("phase") == "begin"
