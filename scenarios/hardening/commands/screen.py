"""A board that is drawn in place at a terminal, and lines everywhere else: what every long command shows of itself.

In come a rich console and a function that draws; out comes text on that console. Raises nothing of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

REFRESH_PER_S = 4


class Screen:
    """``with Screen(console, draw) as screen``: redraws on ``update``, puts lines above the board with ``line``."""

    def __init__(self, console: Console, draw: Callable[[], RenderableType], *, keep: bool = False) -> None:
        """Make one that draws nothing yet.

        Args:
            console: where to; without a terminal behind it nothing is drawn, and lines are all there is.
            draw: the board as of now; called at each update.
            keep: leave the last board standing at the end.
        """
        self._console = console
        self._draw = draw
        self._live = Live(console=console, refresh_per_second=REFRESH_PER_S, transient=not keep)
        self.drawn = console.is_terminal

    def __enter__(self) -> Self:
        if self.drawn:
            self._live.update(self._draw())
            self._live.start(refresh=True)
        return self

    def __exit__(self, *exc: object) -> None:
        if self.drawn:
            self._live.update(self._draw())
            self._live.stop()

    def line(self, text: str, style: str = "dim") -> None:
        """Print a line, above the board where there is one."""
        self._console.print(text, style=style, highlight=False, soft_wrap=True)
        self.update()

    def update(self) -> None:
        """Draw the board again."""
        if self.drawn:
            self._live.update(self._draw())
