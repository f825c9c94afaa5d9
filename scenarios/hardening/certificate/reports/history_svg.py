"""Draws a history's timeline: fault windows shaded over latency, errors, level and breakers, on one axis of time.

In comes a ``Timeline`` (times in seconds), out comes one inline SVG. Each state has a shape or a height of its own
beside its colour.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hardening.certificate.reports import svg
from hardening.certificate.reports.timeline import BUCKETS, Span, Timeline, Window

WIDTH = 960
LEFT = 76
RIGHT = 12
LATENCY_PX = 132
FASTEST_S, SLOWEST_S = 0.0005, 10.0
"""Latency is drawn on a logarithmic scale between these; what lies outside is drawn at the edge."""
LEVELS = ("none", "light", "moderate", "heavy")
ERROR_BUCKETS = BUCKETS // 2
BAND_LABEL_CHARS = 46


@dataclass(frozen=True, slots=True)
class Mark:
    """Evidence of a failed claim on the timeline: when, and what to write above it."""

    t: float
    label: str


class _Drawing:
    """Collects the parts from top to bottom; ``y`` is where the next lane begins."""

    def __init__(self, timeline: Timeline, key: str) -> None:
        self.timeline = timeline
        self.key = key
        self.parts: list[Markup] = []
        self.y = 8.0

    def x(self, t: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(t / self.timeline.end_s, 0.0), 1.0)

    def name(self, text: str, y: float) -> None:
        self.text("name", LEFT - 10, y, _cut(text, 11))

    def text(self, css: str, x: float, y: float, said: str) -> None:
        self.parts.append(svg.text(css, x, y, said))

    def path(self, css: str, d: str) -> None:
        self.parts.append(svg.path(css, d))

    def grid(self, y: float, css: str = "grid") -> None:
        self.path(css, f"M{LEFT} {y:.1f}H{WIDTH - RIGHT}")

    def rect(self, css: str, start_s: float, end_s: float, y: float, height: float, title: str = "") -> None:
        self.parts.append(self.box(css, start_s, end_s, y, height, title))

    def box(self, css: str, start_s: float, end_s: float, y: float, height: float, title: str = "") -> Markup:
        x = self.x(start_s)
        return svg.rect(css, x, y, max(self.x(end_s) - x, 2.0), height, title)


def draw(timeline: Timeline, key: str, title: str, marks: Sequence[Mark] = ()) -> Markup:
    """One inline SVG with its title and description.

    Args:
        timeline: what to draw.
        key: unique in the page, of letters, digits and hyphens; ids begin with it.
        title: what the drawing is called.
        marks: evidence to be flagged.
    """
    drawing = _Drawing(timeline, key)
    if marks:
        drawing.y += 16
    _phases(drawing)
    _faults(drawing)
    below = drawing.y
    if timeline.points:
        _latency(drawing)
        _errors(drawing)
        _levels(drawing)
    _breakers(drawing)
    _probes(drawing)
    bands = _bands(drawing, below)
    _marks(drawing, marks)
    _axis(drawing)
    return svg.drawing(
        "timeline",
        WIDTH,
        math.ceil(drawing.y + 24),
        svg.element("title", title, id=f"{key}-title"),
        svg.element("desc", description(timeline), id=f"{key}-desc"),
        _hatching(key),
        *bands,
        *drawing.parts,
        aria_labelledby=f"{key}-title {key}-desc",
    )


def _hatching(key: str) -> Markup:
    """The pattern of a fault that had no effect."""
    look = {"css": "hatch", "patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)"}
    line = svg.element("path", d="M0 0V6")
    return svg.element("defs", svg.element("pattern", line, id=f"{key}-hatch", width=6, height=6, **look))


def description(timeline: Timeline) -> str:
    """The drawing in words, for those who do not see it."""
    total = timeline.total
    said = [f"{timeline.end_s:.1f} seconds."]
    if total:
        said.append(f"{total.requests} requests, {total.refused} refused on purpose, {total.errors} errors.")
    for window in timeline.windows:
        span = f"from {window.start_s:.1f} to {window.end_s:.1f} s"
        said.append(f"Fault {window.kind} on {window.target} {span}, {effect_in_words(window)}.")
    highest = max((LEVELS.index(s.state) for s in timeline.levels if s.state in LEVELS), default=0)
    said.append(f"Highest level: {LEVELS[highest]}.")
    said += [f"Breaker {name}: {', '.join(s.state for s in spans)}." for name, spans in timeline.breakers.items()]
    return " ".join(said)


def effect_in_words(window: Window) -> str:
    """Whether a fault had an effect."""
    return {True: "had an effect", False: "had no effect", None: "was not healed in this history"}[window.bit]


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _phases(drawing: _Drawing) -> None:
    if not drawing.timeline.phases:
        return
    drawing.name("phase", drawing.y + 11)
    last = -1.0
    for number, span in enumerate(drawing.timeline.phases):
        drawing.rect(f"phase p{number % 2}", span.start_s, span.end_s, drawing.y, 16, span.state)
        x = drawing.x(span.start_s)
        if drawing.x(span.end_s) - x > 6.6 * len(span.state) + 8 and x > last:
            drawing.text("in", x + 5, drawing.y + 11.5, span.state)
            last = x
    drawing.y += 24


def _faults(drawing: _Drawing) -> None:
    """A bar for each fault, in as few rows as fit, with what it did written on or beside it."""
    if not drawing.timeline.windows:
        return
    drawing.name("faults", drawing.y + 12)
    rows: list[float] = []
    for window in drawing.timeline.windows:
        label = _cut(f"{window.kind} → {window.target}: {effect_in_words(window)}", BAND_LABEL_CHARS)
        width = 6.4 * len(label) + 12
        start, end = drawing.x(window.start_s), drawing.x(window.end_s)
        inside = end - start > width
        flip = not inside and end + width > WIDTH - RIGHT
        left, right = (start - width if flip else start), (end if inside or flip else end + width)
        row = next((n for n, taken in enumerate(rows) if left > taken + 4), len(rows))
        rows[row : row + 1] = [right]
        y = drawing.y + row * 20
        drawing.rect("fault" if window.bit else "fault dud", window.start_s, window.end_s, y, 16, label)
        if not window.bit:
            drawing.parts.append(_hatch(drawing, window, y))
        x, anchor = (start + 6, "start") if inside else (start - 5, "end") if flip else (end + 5, "start")
        css = "on" if inside and window.bit else "in"
        drawing.text(f"{css} {anchor}", x, y + 11.5, label)
    drawing.y += len(rows) * 20 + 6


def _hatch(drawing: _Drawing, window: Window, y: float) -> Markup:
    x, end = drawing.x(window.start_s), drawing.x(window.end_s)
    return svg.element("rect", fill=f"url(#{drawing.key}-hatch)", x=x, y=y, width=max(end - x, 2), height=16)


def _bands(drawing: _Drawing, top: float) -> Iterable[Markup]:
    """The fault windows as shades behind everything below their bars."""
    for window in drawing.timeline.windows:
        css = "band" if window.bit else "band dud"
        yield drawing.box(css, window.start_s, window.end_s, top, max(drawing.y - top, 0))


def _latency(drawing: _Drawing) -> None:
    top = drawing.y + 6
    drawing.name("latency", top + 4)

    def y(latency_s: float) -> float:
        share = math.log10(min(max(latency_s, FASTEST_S), SLOWEST_S) / FASTEST_S) / math.log10(SLOWEST_S / FASTEST_S)
        return top + LATENCY_PX * (1 - share)

    for mark_s, text in ((10, "10 s"), (1, "1 s"), (0.1, "100 ms"), (0.01, "10 ms"), (0.001, "1 ms")):
        drawing.grid(y(mark_s))
        if mark_s < SLOWEST_S:
            drawing.text("tick", LEFT - 10, y(mark_s) + 3.5, text)
    shapes = {"ok": "h0", "refused": "m-2.5-2.5h5v5h-5z", "error": "m-3-3l6 6m0-6l-6 6"}
    for kind, shape in shapes.items():
        path = "".join(
            f"M{drawing.x(p.t):.1f} {y(p.latency_s):.1f}{shape}" for p in drawing.timeline.points if p.kind == kind
        )
        if path:
            drawing.path(f"dot {kind}", path)
    drawing.y = top + LATENCY_PX + 12


def _errors(drawing: _Drawing) -> None:
    """How many requests were refused (hollow) and went wrong (solid), by time."""
    tallies = [{"refused": 0, "error": 0} for _ in range(ERROR_BUCKETS)]
    end_s = drawing.timeline.end_s
    for point in drawing.timeline.points:
        if point.kind != "ok":
            tallies[min(ERROR_BUCKETS - 1, int(point.t / end_s * ERROR_BUCKETS))][point.kind] += 1
    most = max(sum(tally.values()) for tally in tallies)
    if not most:
        return
    height, width = 30.0, end_s / ERROR_BUCKETS
    drawing.name("not served", drawing.y + 12)
    drawing.text("tick", LEFT - 10, drawing.y + 25, f"max {most}")
    for number, tally in enumerate(tallies):
        bottom = drawing.y + height
        for kind in ("error", "refused"):
            size = height * tally[kind] / most
            if size:
                title = f"{tally[kind]} {'errors' if kind == 'error' else 'refused'} around {number * width:.1f} s"
                drawing.rect(f"count {kind}", number * width, (number + 0.8) * width, bottom - size, size, title)
                bottom -= size
    drawing.grid(drawing.y + height)
    drawing.y += height + 12


def _levels(drawing: _Drawing) -> None:
    """The level by the height of its bar; ``none`` is a line."""
    heights: Mapping[str, float] = {"none": 2.0, "light": 10.0, "moderate": 17.0, "heavy": 24.0}
    changed = len(drawing.timeline.levels) > 1
    size = 24.0 if changed else 12.0
    drawing.name("level", drawing.y + size - 2)
    for span in drawing.timeline.levels:
        height = heights.get(span.state, 24.0)
        css = f"level {span.state}" if span.state in heights else "level"
        drawing.rect(css, span.start_s, span.end_s, drawing.y + size - height, height, f"level {span.state}")
        _label(drawing, span, drawing.y + size - height - 3 if span.state == "none" else drawing.y + size - 2)
    drawing.y += size + 12


def _label(drawing: _Drawing, span: Span, y: float) -> None:
    x = drawing.x(span.start_s)
    if drawing.x(span.end_s) - x > 6.4 * len(span.state) + 8:
        css = "in" if span.state in {"none", "closed"} else "on"
        drawing.text(css, x + 5, y, span.state)


def _breakers(drawing: _Drawing) -> None:
    """A lane for each breaker that moved: closed is a line, open a full bar, half open a hollow one."""
    for name, spans in drawing.timeline.breakers.items():
        drawing.name(name, drawing.y + 12)
        for span in spans:
            title = f"{name}: {span.state} from {span.start_s:.2f} to {span.end_s:.2f} s"
            closed = span.state == "closed"
            css = f"breaker {span.state}" if span.state in {"closed", "open", "half_open"} else "breaker"
            y, height = (drawing.y + 14, 2.0) if closed else (drawing.y, 16.0)
            drawing.rect(css, span.start_s, span.end_s, y, height, title)
            _label(drawing, span, drawing.y + 11.5)
        drawing.y += 24


def _probes(drawing: _Drawing) -> None:
    """Special observations of the harness, where there is no traffic to draw."""
    if drawing.timeline.points or not drawing.timeline.probes:
        return
    drawing.name("probes", drawing.y + 12)
    for event in drawing.timeline.probes:
        title = f"{event.value.get('probe')} {event.value.get('case', '')} at {event.t:.2f} s"
        drawing.rect("probe", event.t, event.t, drawing.y, 16, title)
    drawing.y += 24


def _marks(drawing: _Drawing, marks: Sequence[Mark]) -> None:
    """A flag for each claim's evidence, written once where several stand close together."""
    last: dict[str, float] = {}
    for mark in marks:
        x = drawing.x(mark.t)
        if x - last.get(mark.label, -99.0) < 8:
            continue
        drawing.path("mark", f"M{x:.1f} 18V{drawing.y:.0f}")
        drawing.path("flag", f"M{x - 5:.1f} 10h10l-5 9z")
        if all(x - other > 40 for other in last.values()):
            anchor, at = ("end", x - 9) if x > WIDTH - 80 else ("start", x + 9)
            drawing.text(f"flagged {anchor}", at, 17, mark.label)
        last[mark.label] = x


def _axis(drawing: _Drawing) -> None:
    end_s = drawing.timeline.end_s
    step = svg.round_up(end_s / 10, (1, 2, 5, 10))
    y = drawing.y
    drawing.grid(y, "axis")
    for number in range(int(end_s / step) + 1):
        x = drawing.x(number * step)
        if x > WIDTH - RIGHT - 8 and number:
            continue
        drawing.path("axis", f"M{x:.1f} {y:.1f}v4")
        drawing.text("tick start" if number == 0 else "tick middle", x, y + 16, f"{number * step:g} s")
