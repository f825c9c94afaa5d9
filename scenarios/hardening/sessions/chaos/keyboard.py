"""The stop key: while a session runs at a terminal, ``q`` ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator

STOP_KEYS = frozenset({b"q", b"Q"})


@contextlib.contextmanager
def stop_key(pressed: Callable[[], None], fd: int | None = None) -> Iterator[bool]:
    """Inside, ``pressed`` is called when ``q`` is; the terminal is as before afterwards.

    Needs a running event loop. Gives false, and does nothing, where there is no terminal.

    Args:
        pressed: what to do.
        fd: of the terminal; standard input when none is given.
    """
    number = fd if fd is not None else _standard_input()
    if number is None or not os.isatty(number):
        yield False
        return
    before = termios.tcgetattr(number)
    loop = asyncio.get_running_loop()

    def read() -> None:
        if os.read(number, 1) in STOP_KEYS:
            pressed()

    tty.setcbreak(number)
    loop.add_reader(number, read)
    try:
        yield True
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _standard_input() -> int | None:
    try:
        return sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):
        return None
