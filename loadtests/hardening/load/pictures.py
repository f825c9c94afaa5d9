"""Pictures as inline SVG, written by hand: no script, no font, nothing from elsewhere. Pure.

Colours are CSS classes (``c0`` ...), so that the page decides between light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 860, 220
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 10, 26
Points = Sequence[tuple[float, float]]


def nice_top(most: float) -> float:
    """A round number at or above ``most``, of which a quarter is round too."""
    if most <= 0:
        return 1.0
    step = 10.0 ** math.floor(math.log10(most))
    return next(factor * step for factor in (1, 2, 4, 8, 10) if factor * step >= most)


def short(value: float) -> str:
    """A number on an axis."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture's axes.

    Attributes:
        x_from: left end of the x axis, ``x_to`` its right end.
        y_to: top of the y axis, which begins at 0.
        x_unit: name at the right end of the x axis.
        bands: (from, to, title) of shaded stretches, such as fault windows.
        marks: (x, title) of upright lines, such as level changes.
    """

    x_from: float
    x_to: float
    y_to: float
    x_unit: str = "s"
    bands: Sequence[tuple[float, float, str]] = field(default_factory=tuple)
    marks: Sequence[tuple[float, str]] = field(default_factory=tuple)

    def x(self, value: float) -> float:
        """Where a value lies, in pixels."""
        span = (self.x_to - self.x_from) or 1.0
        inside = min(max(value, self.x_from), self.x_to)
        return LEFT + (inside - self.x_from) / span * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Where a value lies, in pixels."""
        return HEIGHT - BOTTOM - min(value, self.y_to) / self.y_to * (HEIGHT - TOP - BOTTOM)

    def axes(self) -> str:
        """Grid, numbers, bands and marks."""
        parts = []
        for begin, end, title in self.bands:
            left, right = self.x(begin), self.x(end)
            box = f'x="{left:.1f}" y="{TOP}" width="{max(1.0, right - left):.1f}" height="{HEIGHT - TOP - BOTTOM}"'
            parts.append(f'<rect class="band" {box}><title>{escape(title)}</title></rect>')
        for quarter in range(5):
            value = self.y_to * quarter / 4
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>')
        for tenth in range(0, 11, 2):
            value = self.x_from + (self.x_to - self.x_from) * tenth / 10
            said = short(value) + (f" {self.x_unit}" if tenth == 10 else "")
            anchor = "end" if tenth == 10 else "middle"
            parts.append(f'<text x="{self.x(value):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{said}</text>')
        for at, title in self.marks:
            x = self.x(at)
            line = f'x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"'
            parts.append(f'<line class="mark" {line}><title>{escape(title)}</title></line>')
        return "".join(parts)


def svg(title: str, *parts: str) -> str:
    """The element around them; ``title`` is what a screen reader says."""
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">'
    return head + "".join(parts) + "</svg>"


def legend(names: Iterable[str]) -> str:
    """Which colour is which, in the order of the classes."""
    items = (f'<span><i class="c{i}"></i>{escape(name)}</span>' for i, name in enumerate(names))
    return f'<p class="legend">{"".join(items)}</p>'


def lines(title: str, frame: Frame, series: Mapping[str, Points]) -> str:
    """A line for each series."""
    drawn = []
    for number, points in enumerate(series.values()):
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
        drawn.append(f'<polyline class="line c{number}" points="{path}"/>')
    return svg(title, frame.axes(), *drawn) + legend(series)


def stacked(title: str, frame: Frame, width: float, series: Mapping[str, Mapping[float, float]]) -> str:
    """Bars that begin at x and are ``width`` wide, one series upon the other."""
    drawn = []
    feet: dict[float, float] = {}
    for number, bars in enumerate(series.values()):
        for x, value in sorted(bars.items()):
            if value <= 0:
                continue
            foot = feet.get(x, 0.0)
            feet[x] = foot + value
            left, right = frame.x(x), frame.x(x + width)
            top, bottom = frame.y(foot + value), frame.y(foot)
            box = f'x="{left:.1f}" width="{max(0.5, right - left - 0.5):.1f}" y="{top:.1f}"'
            drawn.append(f'<rect class="bar c{number}" {box} height="{max(0.0, bottom - top):.1f}"/>')
    return svg(title, frame.axes(), *drawn) + legend(series)


def dots(title: str, frame: Frame, points: Points, diagonal: bool = True) -> str:
    """A dot for each point, and the line on which both are equal."""
    end = min(frame.x_to, frame.y_to)
    line = f'x1="{frame.x(0):.1f}" y1="{frame.y(0):.1f}" x2="{frame.x(end):.1f}" y2="{frame.y(end):.1f}"'
    drawn = [f'<line class="mark" {line}/>'] if diagonal else []
    drawn += [f'<circle class="dot c0" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3"/>' for x, y in points]
    return svg(title, frame.axes(), *drawn)
