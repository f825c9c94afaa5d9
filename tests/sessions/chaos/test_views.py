"""What a person sees: the screen says what is broken now, the lines say what changed."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pty
from typing import Any

import pytest
from rich.console import Console

from hardening.claims.verdict import failed, passed, unknown
from hardening.commands.chaos_view import LineView, claims_line, screen, sparkline
from hardening.faults.schedule import Schedule
from hardening.history.events import Event
from hardening.sessions.chaos.conduct import Facts
from hardening.sessions.chaos.keyboard import stop_key
from hardening.sessions.chaos.watch import Watch

SCHEDULE = Schedule.from_json(
    [
        {"at_s": 1, "for_s": 5, "fault": {"kind": "redis_killed"}},
        {"at_s": 9, "for_s": 2, "fault": {"kind": "net_down", "target": "user"}},
    ]
)


def told(*events: tuple[str, str, dict[str, Any]]) -> Watch:
    watch = Watch(now=lambda: 4.0)
    for number, (kind, f, value) in enumerate(events):
        watch.saw(Event(1.0, "harness", kind, f, value, f"c{number}"))
    return watch


def picture(watch: Watch, facts: Facts) -> str:
    console = Console(width=120, record=True, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(screen(facts, watch))
    console.file.close()
    return console.export_text()


def test_the_screen_says_what_is_broken_now_and_what_comes_next() -> None:
    watch = told(
        ("state", "phase", {"phase": "faults"}),
        ("fault", "inject", {"kind": "redis_killed", "target": "redis", "parameters": {}}),
        ("state", "breaker", {"name": "user", "old": "closed", "new": "open"}),
        ("state", "level", {"old": "none", "new": "heavy", "utilisation": 1.0}),
        ("invoke", "request", {}),
        ("ok", "request", {"status": 503, "latency_s": 0.25}),
    )
    seen = picture(watch, Facts("night", "the live world", 20.0, SCHEDULE))
    for words in (
        "night on the live world   faults 3 of 20 s",
        "redis_killed redis (3 s)",
        "net_down user in 6 s",
        "heavy",
        "user open",
        "503 1",
        "worst 250 ms",
        "not judged yet",
    ):
        assert words in seen


def test_the_screen_says_why_it_was_cut_short() -> None:
    watch = told(("state", "phase", {"phase": "aborted", "reason": "error rate 95%"}))
    assert "aborted: error rate 95%" in picture(watch, Facts("night", "x", 20.0, SCHEDULE))


def test_lines_say_what_changed() -> None:
    said: list[str] = []
    watch = Watch(now=lambda: 4.0)
    view = LineView(Facts("night", "x", 20.0, SCHEDULE), watch, said.append)
    watch.on_event = view.event
    fault = {"kind": "net_down", "target": "user"}
    for kind, f, value in (
        ("state", "phase", {"phase": "faults"}),
        ("fault", "inject", {**fault, "parameters": {}}),
        ("state", "breaker", {"name": "user", "old": "closed", "new": "open"}),
        ("state", "loop_lag", {"lag_ms": 1.0}),
        ("fault", "heal", {**fault, "bit": False, "bite": {}, "verified": True}),
    ):
        watch.saw(Event(4.0, "harness", kind, f, value, "f0"))
    assert said == [
        "    4.0 s  phase: faults",
        "    4.0 s  broken: net_down user",
        "    4.0 s  breaker: user closed -> open",
        "    4.0 s  healed: net_down user (it had no effect)",
    ]


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([], ""), ([None, None], "  "), ([0.0], " "), ([1.0, None, 8.0], "▂ █"), ([0.1, 0.1], "██")],
)
def test_a_sparkline_has_a_bar_for_each_value(values: list[float | None], drawn: str) -> None:
    assert sparkline(values) == drawn


def test_claims_are_counted_and_failures_named() -> None:
    verdicts = [
        dataclasses.replace(one, claim=claim)
        for claim, one in {"C2.1": passed(3), "C2.2": unknown("why"), "C6.4": failed(1, "open", [])}.items()
    ]
    assert claims_line(verdicts) == "1 held, FAIL C6.4, 1 not exercised"


def test_the_key_q_stops_and_the_terminal_is_as_before() -> None:
    import termios

    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)

    async def story() -> None:
        pressed = asyncio.Event()
        with stop_key(pressed.set, slave) as there:
            assert there
            os.write(master, b"xq")
            await asyncio.wait_for(pressed.wait(), 5)

    try:
        asyncio.run(story())
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def test_without_a_terminal_there_is_no_stop_key() -> None:
    reading, writing = os.pipe()
    try:
        with stop_key(lambda: None, reading) as there:
            assert not there
    finally:
        os.close(reading)
        os.close(writing)
