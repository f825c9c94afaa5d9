"""Writes a load run as one self-contained page: figures, verdicts, pictures; nothing is fetched.

In comes a ``Judgement``, out comes HTML in which every text from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from hardening.certificate.reports.svg import round_up
from hardening.claims.verdict import Verdict
from hardening.load.figures import bin_s, in_flight, knee, latencies_ms, offered_and_accepted, outcomes
from hardening.load.judge import Judgement, ended_early, row
from hardening.load.pictures import Frame, dots, lines, short, stacked
from hardening.load.view import MB, Run

STYLE = """
:root{--bg:#fff;--fg:#1b1f24;--dim:#667;--grid:#e3e6ea;--band:#f6c34455;--mark:#b5179e;
--c0:#1f77b4;--c1:#e07b00;--c2:#c22f2f;--c3:#8a8f98;--c4:#7a1fa2;--ok:#1a7f37;--bad:#c22f2f;--unk:#9a6700}
@media (prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e6e8eb;--dim:#98a0aa;--grid:#2a3037;--band:#f6c34433;
--mark:#ff7edb;--c0:#6cb6ff;--c1:#ffa94d;--c2:#ff7b72;--c3:#7d8590;--c4:#d2a8ff;--ok:#57d364;--bad:#ff7b72;--unk:#e3b341}}
body{background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,sans-serif;
max-width:980px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em}h2{font-size:1.1em;margin:1.6em 0 .3em}p.dim,.legend{color:var(--dim)}
table{border-collapse:collapse;width:100%;font-size:.92em}td,th{padding:.25em .6em;border-bottom:1px solid var(--grid);
text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.PASS,.PASSED{color:var(--ok)}.FAIL,.FAILED{color:var(--bad);font-weight:600}.UNKNOWN{color:var(--unk)}
svg{width:100%;height:auto}svg text{fill:var(--dim);font-size:11px}svg .end{text-anchor:end}
svg .middle{text-anchor:middle}.grid{stroke:var(--grid)}.band{fill:var(--band)}
.mark{stroke:var(--mark);stroke-dasharray:3 3}.line{fill:none;stroke-width:1.8}
.line.c0{stroke:var(--c0)}.line.c1{stroke:var(--c1)}.line.c2{stroke:var(--c2)}
.bar.c0,.dot.c0{fill:var(--c0)}.bar.c1{fill:var(--c1)}.bar.c2{fill:var(--c3)}.bar.c3{fill:var(--c4)}.bar.c4{fill:var(--c2)}
.legend span{margin-right:1.2em;font-size:.88em}.legend i{display:inline-block;width:.8em;height:.8em;margin-right:.4em}
.legend i.c0{background:var(--c0)}.legend i.c1{background:var(--c1)}.legend i.c2{background:var(--c2)}
.stack+.legend i.c2,.stack .legend i.c2{background:var(--c3)}.stack .legend i.c3{background:var(--c4)}
.stack .legend i.c4{background:var(--c2)}
"""


def number(value: float | None) -> str:
    """A figure in the table."""
    return "-" if value is None else short(value)


def _row(line: Verdict) -> str:
    one = row(line)
    cells = (
        f"<td>{escape(line.claim)}</td><td class='{line.outcome}'>{line.outcome}</td>"
        f"<td class='n'>{number(one['figure'])}</td><td class='n'>{number(one['limit'])}</td>"
        f"<td class='n'>{number(one['margin'])}</td><td>{escape(one['unit'])}</td>"
        f"<td class='n'>{line.premise_count}</td><td>{escape(line.reason)}</td>"
    )
    return f"<tr>{cells}</tr>"


def _frame(run: Run, most: float) -> Frame:
    """Axes over the time of the load, fault windows shaded, level changes marked."""
    bands = [
        (one.inject.t - run.began_t, min(one.healed_s - run.began_t, run.plan.duration_s), f"{one.kind} ({one.target})")
        for one in run.broken
    ]
    marks = [
        (event.t - run.began_t, f"level {event.value['old']} to {event.value['new']}")
        for event in run.history.states("level")
    ]
    if not marks:
        marks = [(s.end_t - run.began_t, "under pressure") for s in run.scrapes if s.series.get("signal_level", 0) > 0]
    return Frame(0.0, run.plan.duration_s, round_up(most), bands=bands, marks=marks)


def _pictures(judgement: Judgement) -> Iterator[str]:
    run = judgement.run
    latency = latencies_ms(run)
    most = max((y for points in latency.values() for _, y in points), default=1.0)
    yield "<h2>Latency from the intended start, ms</h2>"
    yield lines("latency over time by percentile", _frame(run, most), latency)
    stacks = outcomes(run)
    high = max((sum(bars.get(at, 0) for bars in stacks.values()) for at in stacks["accepted"]), default=1.0)
    yield "<h2>Requests a second by outcome</h2><div class='stack'>"
    yield stacked("accepted, shed, rejected", _frame(run, high), bin_s(run), stacks) + "</div>"
    rss = [(t - run.began_t, value / MB) for t, value in run.rss if t >= run.began_t]
    if rss:
        yield "<h2>Memory in use, MB</h2>"
        yield lines("resident memory", _frame(run, max(y for _, y in rss)), {"RSS": rss})
    flying = in_flight(run)
    if flying:
        yield "<h2>In flight</h2>"
        yield lines("requests in flight", _frame(run, max(1.0, *(y for _, y in flying))), {"permits out": flying})
    yield from _knee(judgement)


def _knee(judgement: Judgement) -> Iterator[str]:
    run = judgement.run
    points = offered_and_accepted(run)
    found = knee(run, judgement.limits.get("rate.window_s"))
    top = round_up(max((x for x, _ in points), default=1.0))
    yield "<h2>The knee: accepted over offered, requests a second</h2>"
    yield dots("accepted over offered", Frame(0.0, top, top, x_unit="/s offered"), points)
    if found is None:
        yield "<p class='dim'>Nobody was refused.</p>"
    else:
        yield (
            f"<p class='dim'>First refusal ({escape(found.why)}) after {found.at_s:.1f} s, at {found.offered_per_s:.2f}"
            f" requests a second over the {found.over_s:.0f} s before.</p>"
        )


def page(judgement: Judgement) -> str:
    """The whole page."""
    run, plan = judgement.run, judgement.run.plan
    where = "a service booted for the run" if plan.embedded else escape(plan.host)
    facts = f"{len(run.sent)} requests, {plan.duration_s:g} s, around {plan.rate_per_s:g}/s, seed {plan.seed}, {where}"
    early = ended_early(run)
    stopped = f"<p class='{'FAIL' if run.aborted else 'UNKNOWN'}'>Ended early: {escape(early)}</p>" if early else ""
    head = "".join(f"<th>{name}</th>" for name in ("budget", "", "figure", "limit", "margin", "unit", "n", "why"))
    return "\n".join(
        [
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
            "<meta name='viewport' content='width=device-width,initial-scale=1'>",
            f"<title>load: {escape(plan.shape)} {judgement.result}</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(plan.shape)}: <span class='{judgement.result}'>{judgement.result}</span></h1>",
            f"<p class='dim'>{facts}</p>{stopped}",
            *_pictures(judgement),
            f"<h2>Budgets</h2><table><tr>{head}</tr>",
            *map(_row, judgement.lines),
            "</table></body></html>",
            "",
        ]
    )
