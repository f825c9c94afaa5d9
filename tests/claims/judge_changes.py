"""What one wrong thing looks like in a story, and helpers to say it."""

from __future__ import annotations

from judge_story import Change, with_events

from hardening.history.events import Event

Guilty = tuple[str, dict[str, object]]


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


def growing(events: list[Event]) -> list[Event]:
    for number, event in enumerate(e for e in events if e.f == "sample"):
        event.value["rss_bytes"] += number * 1_000_000  # type: ignore[index]
    return events


def shared_lateness(events: list[Event]) -> list[Event]:
    """Both loads of C5.1's key at once: the follower loads as well."""
    join = next(e for e in events if e.value.get("event") == "join")
    join.value.update({"event": "load", "load_id": "l2"})  # type: ignore[attr-defined]
    return events


def slow_health(events: list[Event]) -> list[Event]:
    begin = next(e.t for e in events if e.f == "inject")
    for event in events:
        if event.type == "ok" and event.f == "request" and event.t > begin:
            event.value["latency_s"] = 1.9  # type: ignore[index]
    return events
