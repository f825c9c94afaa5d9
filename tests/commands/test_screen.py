"""What long commands show: a board in place at a terminal, plain lines everywhere else."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hardening.commands.board import Board
from hardening.commands.load_view import LoadView
from hardening.commands.screen import Screen

PLAN = {"shape": "steady", "duration_s": 60.0}
RUNNING = {"state": "running", "t_s": 3.0, "sent": 12, "accepted": 9, "refused": 2, "errors": 1}


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100)


def text(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def test_at_a_terminal_the_board_is_drawn_with_lines_above_it() -> None:
    there, state = console(terminal=True), ["first"]
    with Screen(there, lambda: state[0], keep=True) as screen:
        screen.line("a line")
        state[0] = "last"
    shown = text(there)
    assert shown.index("first") < shown.index("a line") < shown.rindex("last")
    assert "\x1b[" in shown


def test_in_a_pipe_there_are_lines_and_nothing_is_drawn() -> None:
    there = console(terminal=False)
    with Screen(there, lambda: pytest.fail("drawn")) as screen:
        screen.line("a line")
        screen.update()
    assert text(there) == "a line\n"


def test_the_board_of_a_certification_says_in_lines_what_ended_and_what_failed() -> None:
    there = console(terminal=False)
    with Board(there) as board:
        board.started(["burst"])
        board.explored(
            {"scenario": "s", "schedules": 7, "schedule": 7, "settled": [], "effective": [], "failed": "C1.2"}
        )
        board.skipped("burst")
    assert text(there) == (
        "s: C1.2 fails under schedule 7, simulated\nburst: not run live, the budget leaves no time\n"
    )


def test_a_load_run_says_now_and_then_how_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    with LoadView(PLAN) as view:
        for t_s in (0.0, 5.0, 10.0):
            view.show({**RUNNING, "t_s": t_s})
        view.show({"state": "aborted", "why": "too many errors"})
    assert capsys.readouterr().err.splitlines() == [
        "    0 s  12 sent, 9 accepted, 2 refused, 1 errors",
        "   10 s  12 sent, 9 accepted, 2 refused, 1 errors",
        "ended early: too many errors",
    ]


def test_a_quiet_load_run_says_nothing_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with LoadView(PLAN, quiet=True) as view:
        view.show(RUNNING)
        view.show({"state": "resting"})
    assert capsys.readouterr().err == ""
