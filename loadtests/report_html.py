"""One self-contained page: the budgets, and pictures of the run over time, as SVG written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from loadtests.figures import OverTime
from loadtests.verdicts import Held
from scenarios.judge.history import History
from scenarios.judge.verdict import Outcome

WIDTH, HEIGHT, LEFT, BOTTOM = 900, 190, 52, 22

STYLE = """
:root{color-scheme:light dark;--bg:#fbfbfc;--fg:#1c2330;--soft:#5b6675;--line:#dfe3e8;--card:#fff;--good:#1a7f4b;
--bad:#b3261e;--maybe:#8a6100;--a:#2f6fb5;--b:#c77a1c;--c:#a33d6f;--fault:#b3261e22}
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#e6e9ee;--soft:#9aa5b4;--line:#2b333e;--card:#1a2029;
--good:#58c48c;--bad:#ff8a80;--maybe:#e0b34f;--a:#6fb0f0;--b:#f0b060;--c:#e58ab8;--fault:#ff8a8033}}
body{margin:0 auto;max-width:980px;padding:1.5rem;background:var(--bg);
color:var(--fg);font:16px/1.5 system-ui,sans-serif}
h1{margin:.2rem 0;font-size:1.6rem}h2{margin:2rem 0 .4rem;font-size:1.15rem}.soft{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{padding:.3rem .5rem;border-bottom:1px solid var(--line);
text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}.scroll{overflow-x:auto}
.PASS{color:var(--good)}.FAIL{color:var(--bad);font-weight:600}.UNKNOWN{color:var(--maybe)}
svg{display:block;width:100%;height:auto;background:var(--card);border:1px solid var(--line);border-radius:6px}
svg text{fill:var(--soft);font:11px system-ui,sans-serif}.key span{margin-right:1rem}
.key i{display:inline-block;width:.8em;height:.8em;margin-right:.35em;border-radius:2px}
"""


def render(said: Mapping[str, Any], budgets: Sequence[Held], times: OverTime, history: History | None) -> str:
    """The page; no script, and nothing from elsewhere."""
    spec = said["spec"]
    failed = [one for one in budgets if one.outcome is Outcome.FAIL]
    verdict = "FAILED" if said["exit_code"] == 1 else "UNKNOWN" if said["exit_code"] == 3 else "HELD"
    style = {"FAILED": "FAIL", "UNKNOWN": "UNKNOWN"}.get(verdict, "PASS")
    place = "the embedded service" if history is not None else "a service of somebody's"
    head = [
        f"<h1>Load budgets: <span class='{style}'>{verdict}</span></h1>",
        (
            f"<p class=soft>shape {escape(spec['shape'])}, base {spec['rate_per_s']:g} requests a second, "
            f"{spec['duration_s']:g} s, seed {spec['seed']}, against {place}. {said['requests']} requests, "
            f"{said['accepted']} accepted, {said['rejected']} refused for rate, {said['shed']} shed.</p>"
        ),
    ]
    if said.get("aborted"):
        head.append(f"<p class=FAIL>Ended early: {escape(said['aborted'])}</p>")
    if failed:
        head.append("<ul>" + "".join(f"<li class=FAIL>{escape(one.line())}</li>" for one in failed) + "</ul>")
    if said.get("knee"):
        found = said["knee"]
        head.append(
            f"<p>The knee: from {found['offered_per_s']:g} offered requests a second on "
            f"(at {found['at_s']:g} s) more than 5 % were refused, for {escape(found['refused_for'])}.</p>"
        )
    body = "\n".join([*head, _table(budgets), *_pictures(times)])
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Load budgets</title>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _table(budgets: Sequence[Held]) -> str:
    rows = []
    for one in budgets:
        numbers = [one.figure, one.limit, one.margin]
        cells = "".join(f"<td class=n>{'' if value != value else f'{value:.6g}'}</td>" for value in numbers)
        rows.append(
            f"<tr><th scope=row>{escape(one.name)}</th><td class={one.outcome}>{one.outcome}</td>{cells}"
            f"<td>{escape(one.unit)}</td><td>{escape(one.reason)}</td></tr>"
        )
    head = "".join(
        f"<th scope=col>{name}</th>" for name in ("budget", "verdict", "figure", "limit", "margin", "", "why")
    )
    return (
        f"<h2>Budgets</h2><div class=scroll><table><caption class=soft>Each with its figure and margin</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _pictures(times: OverTime) -> list[str]:
    found = [(bucket.from_s, percentiles) for bucket in times.buckets if (percentiles := bucket.percentiles())]
    latency = [
        ("p50", "var(--a)", [(t, p[0]) for t, p in found]),
        ("p95", "var(--b)", [(t, p[1]) for t, p in found]),
        ("p99", "var(--c)", [(t, p[2]) for t, p in found]),
    ]
    width_s = times.width_s
    answers = [
        ("accepted", "var(--good)", [(b.from_s, b.accepted / width_s) for b in times.buckets]),
        ("refused for rate", "var(--b)", [(b.from_s, b.rejected / width_s) for b in times.buckets]),
        ("shed", "var(--bad)", [(b.from_s, b.shed / width_s) for b in times.buckets]),
    ]
    return [
        _lines("Latency of accepted requests, ms", latency, times, levels=True),
        _stack("Answers a second", answers, times),
        _lines("Resident memory, MB", [("RSS", "var(--a)", list(times.rss_mb))], times),
        _lines("In flight", [("main pool", "var(--a)", list(times.in_flight))], times),
    ]


Series = Sequence[tuple[str, str, Sequence[tuple[float, float]]]]


def _frame(title: str, series: Series, times: OverTime, top: float, marks: str) -> str:
    end_s = max((b.from_s for b in times.buckets), default=0.0) + times.width_s
    grid = []
    for part in range(5):
        y = _y(top * part / 4, top)
        grid.append(f"<line x1={LEFT} x2={WIDTH} y1={y:.1f} y2={y:.1f} stroke='var(--line)'/>")
        grid.append(f"<text x={LEFT - 6} y={y + 4:.1f} text-anchor=end>{top * part / 4:.4g}</text>")
        x = LEFT + (WIDTH - LEFT) * part / 4
        anchor = "end" if part == 4 else "middle"
        grid.append(f"<text x={x:.0f} y={HEIGHT - 6} text-anchor={anchor}>{end_s * part / 4:.4g} s</text>")
    shades = []
    for began, ended, name in times.faults:
        x, width = _x(began, end_s), max(2.0, _x(ended, end_s) - _x(began, end_s))
        shades.append(
            f"<rect x={x:.1f} y=0 width={width:.1f} height={HEIGHT - BOTTOM} fill='var(--fault)'>"
            f"<title>{escape(name)}, {began:.1f} to {ended:.1f} s</title></rect>"
        )
    keys = "".join(f"<span><i style='background:{colour}'></i>{escape(name)}</span>" for name, colour, _ in series)
    if times.faults:
        keys += "<span><i style='background:var(--fault)'></i>a fault</span>"
    described = "; ".join(f"{name}: most {max((v for _, v in points), default=0):.4g}" for name, _, points in series)
    return (
        f"<h2>{escape(title)}</h2><p class='key soft'>{keys}</p><svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img>"
        f"<title>{escape(title)}</title><desc>{escape(described)}</desc>{''.join(shades)}{''.join(grid)}{marks}</svg>"
    )


def _x(t: float, end_s: float) -> float:
    return LEFT + (WIDTH - LEFT) * min(1.0, max(0.0, t / end_s))


def _y(value: float, top: float) -> float:
    return (HEIGHT - BOTTOM) * (1 - value / top) if top else HEIGHT - BOTTOM


def _top(values: Sequence[float]) -> float:
    most = max(values, default=0.0)
    return most * 1.08 if most > 0 else 1.0


def _lines(title: str, series: Series, times: OverTime, *, levels: bool = False) -> str:
    top = _top([value for _, _, points in series for _, value in points])
    end_s = max((b.from_s for b in times.buckets), default=0.0) + times.width_s
    marks = []
    for _, colour, points in series:
        line = " ".join(f"{_x(t, end_s):.1f},{_y(value, top):.1f}" for t, value in points)
        marks.append(f"<polyline points='{line}' fill=none stroke='{colour}' stroke-width=1.6 />")
    for t, name in times.levels if levels else ():
        x = _x(t, end_s)
        marks.append(
            f"<line x1={x:.1f} x2={x:.1f} y1=0 y2={HEIGHT - BOTTOM} stroke='var(--c)' stroke-dasharray='3 3'/>"
        )
        marks.append(f"<text x={x + 3:.1f} y=12>{escape(name)}</text>")
    return _frame(title, series, times, top, "".join(marks))


def _stack(title: str, series: Series, times: OverTime) -> str:
    count = len(times.buckets)
    sums = [sum(points[i][1] for _, _, points in series) for i in range(count)]
    top, end_s = _top(sums), max((b.from_s for b in times.buckets), default=0.0) + times.width_s
    marks = []
    for i in range(count):
        base = 0.0
        for _, colour, points in series:
            t, value = points[i]
            if value > 0:
                x, width = _x(t, end_s), max(1.0, _x(t + times.width_s, end_s) - _x(t, end_s) - 0.5)
                y, height = _y(base + value, top), _y(base, top) - _y(base + value, top)
                marks.append(f"<rect x={x:.1f} y={y:.1f} width={width:.1f} height={height:.1f} fill='{colour}'/>")
            base += value
    return _frame(title, series, times, top, "".join(marks))
