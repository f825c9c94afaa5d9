"""What differs between two sessions: what was asked and broken, what was said of it, what clients saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hardening.catalogue.scenario_json import encode
from hardening.sessions.session import Session

ASKED = ("steady", "workload")


def differences(one: Session, other: Session) -> dict[str, dict[str, Any]]:
    """By area (``session``, ``scenario``, ``faults``, ``verdicts``, ``figures`` ...): what differs, as [one, other]."""
    areas = {
        "session": _session(one, other),
        "scenario": _scenario(one, other),
        "faults": _faults(one, other),
        "verdicts": _of(_verdicts(one), _verdicts(other)),
        "figures": _of(_flat(one.figures), _flat(other.figures)),
        "settings": _of(_flat(one.settings), _flat(other.settings)),
        "versions": _of(dict(one.versions), dict(other.versions)),
    }
    return {area: found for area, found in areas.items() if found}


def lines(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """For a person: an area, then what differs in it."""
    if not found:
        return ["the sessions do not differ"]
    shown = []
    for area, entries in found.items():
        shown.append(f"{area}:")
        shown += [f"  {name}: {_shown(before)} -> {_shown(after)}" for name, (before, after) in entries.items()]
    return shown


def _shown(value: object) -> str:
    return "-" if value is None else str(value)


def _of(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = [*one, *(name for name in other if name not in one)]
    return {name: [one.get(name), other.get(name)] for name in names if one.get(name) != other.get(name)}


def _session(one: Session, other: Session) -> dict[str, list[Any]]:
    names = ("world", "seed", "trace_digest", "sabotage", "commit", "problem", "aborted")
    return _of({name: getattr(one, name) for name in names}, {name: getattr(other, name) for name in names})


def _scenario(one: Session, other: Session) -> dict[str, list[Any]]:
    def shown(session: Session) -> dict[str, Any]:
        scenario = session.scenario
        plain = {f.name: encode(getattr(scenario, f.name)) for f in dataclasses.fields(scenario)}
        for name in (*ASKED, "schedule", "environment"):
            plain.pop(name)
        counts = {f"{name} requests": len(getattr(scenario, name).operations) for name in ASKED}
        same = {f"{name} digest": hash(getattr(scenario, name).dumps()) for name in ASKED}
        return {**plain, **counts, **same}

    found = _of(shown(one), shown(other))
    for name in ASKED:
        # Equal counts with other requests are said as such; a hash means nothing to anybody.
        if found.pop(f"{name} digest", None) and f"{name} requests" not in found:
            found[f"{name} requests"] = ["some", "others"]
    return found


def _faults(one: Session, other: Session) -> dict[str, list[Any]]:
    def shown(session: Session) -> dict[str, str]:
        rows: dict[str, str] = {}
        for timed in session.scenario.schedule.faults:
            data = timed.fault.to_json()
            name = f"{data.pop('kind')} {data.pop('target')} at {timed.at_s:g} s"
            rows[name] = f"for {timed.for_s:g} s {data or ''}".rstrip()
        return rows

    return _of(shown(one), shown(other))


def _verdicts(session: Session) -> dict[str, str]:
    return {
        judged.claim: f"{judged.verdict} ({judged.reason})" if judged.verdict == "FAIL" else judged.verdict
        for judged in session.verdicts
    }


def _flat(value: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in value.items():
        path = f"{where}.{name}" if where else str(name)
        found |= _flat(inner, path) if isinstance(inner, Mapping) else {path: inner}
    return found
