"""Changes of a story: what one wrong thing looks like."""

from __future__ import annotations

from judge_story import Change, with_events

from hardening.history.events import Event

Case = tuple[str, str, Change, list[tuple[str, dict[str, object]]]]
"""A claim, what is wrong, the change of its sound story, and the events that must be cited: ``f`` and fields."""


def chain(*steps: Change) -> Change:
    def change(events: list[Event]) -> list[Event]:
        for step in steps:
            events = step(events)
        return events

    return change


def late(f: str, seconds: float, nth: int = 0, **where: object) -> Change:
    """Move an event in time."""

    def change(events: list[Event]) -> list[Event]:
        hit = [e for e in events if e.f == f and all(e.value.get(k) == v for k, v in where.items())][nth]
        moved = Event(hit.t + seconds, hit.process, hit.type, hit.f, hit.value, hit.id)
        return [moved if e is hit else e for e in events]

    return change


def arrival(t: float, name: str, ident: str, status: int = 200, lasts_s: float = 0.01, **value: object) -> Change:
    what = {"method": "POST" if name in {"alert", "comms"} else "GET", "path": f"/{name}", **value}
    return with_events(
        Event(t, name, "invoke", "arrival", what, ident),
        Event(t + lasts_s, name, "ok", "arrival", {"status": status, "duration_s": lasts_s}, ident),
    )


def asked(t: float, ident: str, status: int, latency_s: float = 0.01, answer: object = None, **value: object) -> Change:
    what = {"method": "GET", "path": "/x", "operation": "signal", "user": "ann", "priority": "normal", **value}
    told = {"status": status, "latency_s": latency_s, **(answer if isinstance(answer, dict) else {})}
    return with_events(
        Event(t, "client", "invoke", "request", what, ident),
        Event(t + latency_s, "client", "ok", "request", told, ident),
    )


def said(surface: str, text: str) -> Change:
    return with_events(Event(0.5, "service", "log", "line", {"surface": surface, "text": text}))


def equal_waits(events: list[Event]) -> list[Event]:
    for event in events:
        if event.f in {"attempt", "startup"} and event.value.get("wait_s"):
            event.value["wait_s"] = 0.1  # type: ignore[index]
    return events
