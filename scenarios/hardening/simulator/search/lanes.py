"""A trace as an SVG: a lane for each task and connection, virtual time from top to bottom."""

from __future__ import annotations

from html import escape

from hardening.simulator.core.trace import Trace, TraceEvent

LANE_PX = 170
ROW_PX = 18
LEFT_PX = 90
TOP_PX = 40
COLOURS = {
    "run": "#3b6ea5",
    "create": "#7a7a7a",
    "io": "#b07d2b",
    "draw": "#b07d2b",
    "delay": "#b07d2b",
    "send": "#4d8a4d",
    "receive": "#2f6b2f",
    "cancel": "#b3261e",
    "net": "#7b3fa0",
    "say": "#222222",
    "signal": "#b3261e",
}


def lanes(trace: Trace, *, rows_max: int = 400) -> str:
    """One self-contained SVG; of a long trace the end.

    Args:
        trace: what to draw.
        rows_max: how many events at most.
    """
    events = [event for event in trace.events if event.kind != "call"][-rows_max:]
    names = list(dict.fromkeys(event.who for event in events))
    width = LEFT_PX + LANE_PX * max(1, len(names)) + 20
    height = TOP_PX + ROW_PX * (len(events) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        '<g font-family="monospace" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, name in enumerate(names):
        x = LEFT_PX + LANE_PX * number + 8
        parts.append(f'<line x1="{x}" y1="{TOP_PX - 8}" x2="{x}" y2="{height}" stroke="#dddddd"/>')
        parts.append(f'<text x="{x}" y="18" font-weight="bold">{escape(_short(name, 24))}</text>')
    parts += [_row(number, event, names) for number, event in enumerate(events)]
    parts.append("</g></svg>")
    return "\n".join(parts) + "\n"


def _row(number: int, event: TraceEvent, names: list[str]) -> str:
    x = LEFT_PX + LANE_PX * names.index(event.who) + 8
    y = TOP_PX + ROW_PX * number + 8
    colour = COLOURS.get(event.kind, "#555555")
    full = escape(f"step {event.step}, {event.virtual_s:.6f} s, {event.kind} {event.who} {event.text}")
    return (
        f'<g><title>{full}</title><text x="4" y="{y + 4}" fill="#888888">{event.virtual_s:.6f}</text>'
        f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>'
        f'<text x="{x + 8}" y="{y + 4}" fill="{colour}">{escape(_short(f"{event.kind} {event.text}", 23))}</text></g>'
    )


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
