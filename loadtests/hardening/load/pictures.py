"""Draws the pictures of a load run: lines, stacked bars and dots over labelled axes.

In come series of numbers, out comes inline SVG with its legend as ``Markup``: no script, no font, nothing from
elsewhere. Series differ by CSS classes ``c0`` ... whose colours the page decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from hardening.certificate.reports import svg

WIDTH, HEIGHT = 860, 220
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 10, 26
Points = Sequence[tuple[float, float]]


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

    def axes(self) -> Iterator[Markup]:
        """Grid, numbers, bands and marks."""
        for begin, end, title in self.bands:
            left, right = self.x(begin), self.x(end)
            yield svg.rect("band", left, TOP, max(1.0, right - left), HEIGHT - TOP - BOTTOM, title)
        for quarter in range(5):
            value = self.y_to * quarter / 4
            y = self.y(value)
            yield svg.line("grid", (LEFT, y), (WIDTH - RIGHT, y))
            yield svg.text("end", LEFT - 6, y + 4, short(value))
        for tenth in range(0, 11, 2):
            value = self.x_from + (self.x_to - self.x_from) * tenth / 10
            said = short(value) + (f" {self.x_unit}" if tenth == 10 else "")
            yield svg.text("end" if tenth == 10 else "middle", self.x(value), HEIGHT - 8, said)
        for at, title in self.marks:
            x = self.x(at)
            yield svg.line("mark", (x, TOP), (x, HEIGHT - BOTTOM), title)


def _picture(title: str, frame: Frame, parts: Iterable[Markup], names: Iterable[str] = ()) -> Markup:
    """The drawing, and below it which colour is which, in the order of the classes."""
    drawn = svg.drawing("load", WIDTH, HEIGHT, *frame.axes(), *parts, aria_label=title)
    items = [svg.element("span", svg.element("i", css=f"c{i}"), name) for i, name in enumerate(names)]
    return drawn + svg.element("p", *items, css="legend") if items else drawn


def lines(title: str, frame: Frame, series: Mapping[str, Points]) -> Markup:
    """A line for each series."""
    drawn = []
    for number, points in enumerate(series.values()):
        along = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
        drawn.append(svg.element("polyline", css=f"line c{number}", points=along))
    return _picture(title, frame, drawn, series)


def stacked(title: str, frame: Frame, width: float, series: Mapping[str, Mapping[float, float]]) -> Markup:
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
            drawn.append(svg.rect(f"bar c{number}", left, top, max(0.5, right - left - 0.5), max(0.0, bottom - top)))
    return _picture(title, frame, drawn, series)


def dots(title: str, frame: Frame, points: Points) -> Markup:
    """A dot for each point, and the line on which both are equal."""
    end = min(frame.x_to, frame.y_to)
    equal = svg.line("mark", (frame.x(0), frame.y(0)), (frame.x(end), frame.y(end)))
    drawn = [svg.element("circle", css="dot c0", cx=frame.x(x), cy=frame.y(y), r=3) for x, y in points]
    return _picture(title, frame, [equal, *drawn])
