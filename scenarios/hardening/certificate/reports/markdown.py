"""The certificate as Markdown: what was concluded, on what evidence, what was not shown, how to repeat it.

In comes a certificate, out comes the report's text. Text that was recorded, or that somebody wrote, is escaped: it can
become neither HTML nor a link, an image or a heading. In code, JSON's escape stands for each ``<``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hardening.certificate.load_rows import LoadState, load_state
from hardening.certificate.reports.figures_shown import figures_shown
from hardening.claims.claims import COMPONENTS


class _Ready(str):
    """Markdown of ours; every other text is escaped before it is written."""

    __slots__ = ()


_ACTIVE = re.compile(r"[\\`*\[\]|~]|^[#+=>-]|(?<=^\d)[.)]")
"""What Markdown itself reads within a line or at its beginning, beside HTML."""
_MARK = {"passed": _Ready("PASS"), "failed": _Ready("**FAIL**"), "unknown": _Ready("**UNKNOWN**")}
_WORDS = {
    "PASSED": "Every claim was exercised and holds.",
    "WARNED": "No gate is broken, and something keeps this from being PASSED; it is listed below.",
    "FAILED": "A hard gate is broken; it is listed below.",
}
_LOAD = {
    LoadState.HELD: "yes",
    LoadState.MISSED: _Ready("**no**"),
    LoadState.UNKNOWN: _Ready("**unknown**"),
    LoadState.SPARED: "not exercised",
}
_STANDINGS = ("passed", "failed", "unknown", "waived", "allowed", "not_run")
EVIDENCE_CHARS_MAX = 500
_STORED = re.compile(r"histories/[\w.-]+\.jsonl")


def render(certificate: Mapping[str, Any]) -> str:
    """Markdown of a certificate."""
    predicate = certificate["predicate"]
    sections = [
        _summary(predicate),
        _gates(predicate),
        _since(predicate),
        _failures(predicate),
        *(_component(predicate, name, title) for name, title in COMPONENTS.items()),
        _able_to_fail(predicate),
        _loads(predicate),
        _not_exercised(predicate),
        _faults(predicate),
        _histories(predicate),
        _repeat(predicate),
    ]
    return "\n".join([f"# Certificate: {predicate['result']}", "", *(line for part in sections for line in part)])


def _summary(predicate: Mapping[str, Any]) -> list[str]:
    settled = ", ".join(f"{len(predicate['standing'][name])} {name.replace('_', ' ')}" for name in _STANDINGS)
    where = predicate["environment"]
    commit = predicate["commit"] if predicate["clean_commit"] else f"{predicate['commit']} (not a clean commit)"
    code = f"release {predicate['release']}, commit {commit}"
    rows = {
        "claims": settled,
        "code": _Ready(f"{_line(code)}, {_code(predicate['code_digest'])}"),
        "configuration": _code(predicate["configuration_digest"]),
        "ran": f"{predicate['started_at']} to {predicate['finished_at']}, seed {predicate['seed']}",
        "expires": f"{predicate['expires_at']}, or with the next release",
        "on": f"{where['implementation']} {where['python']}, {where['os']}, {where['cpus']} CPUs; "
        f"Redis: {where['redis_server']}; Toxiproxy: {where['toxiproxy']}",
        "libraries": ", ".join(f"{name} {version}" for name, version in where["libraries"].items()) or "none named",
    }
    lines = [_WORDS[predicate["result"]], "", *_table(("", ""), list(rows.items()))]
    if predicate["sabotage_applied"]:
        lines += ["", f"**What ran was broken on purpose:** {_code(predicate['sabotage_applied'])}."]
    return [*lines, ""]


def _gates(predicate: Mapping[str, Any]) -> list[str]:
    rows = [(gate["gate"], _yes(gate["held"]), gate["said"]) for gate in predicate["gates"]]
    notes = [f"- Warning: {_line(warning)}" for warning in predicate["warnings"]]
    notes += [f"- Problem of the harness: {_line(problem)}" for problem in predicate["problems"]]
    return ["## Gates", "", *_table(("gate", "held", ""), rows), *(["", *notes] if notes else []), ""]


def _since(predicate: Mapping[str, Any]) -> list[str]:
    since = predicate["since"]
    if since is None:
        return []
    lines = [
        "## What changed",
        "",
        f"Since the certificate of {_line(since['finished_at'])} ({_line(since['result'])}):",
        "",
    ]
    return [*lines, *(f"- {_line(change)}" for change in since["changes"] or ["nothing"]), ""]


def _failures(predicate: Mapping[str, Any]) -> list[str]:
    failures = [claim for claim in predicate["claims"] if claim["verdict"] == "FAIL"]
    lines = ["## What failed", ""] if failures else []
    for claim in failures:
        lines += [f"### {claim['id']} in {_code(claim['history'])}", "", f"Why: {_line(claim['reason'])}", ""]
        lines += [_evidence(event) for event in claim["evidence"]]
        lines.append("")
        for story in predicate["stories"]:
            if story["claim"] == claim["id"]:
                lines += _story(story)
    return lines


def _evidence(event: Mapping[str, Any]) -> str:
    name = f"{event['type']}/{event['f']} {event['id']}".rstrip()
    value = json.dumps(event["value"], ensure_ascii=False, sort_keys=True, default=str)[:EVIDENCE_CHARS_MAX]
    return f"- {event['t']:.3f} s, {_line(event['process'])}: {_line(name)} {_code(value)}"


def _story(story: Mapping[str, Any]) -> list[str]:
    steps = [f"    {line}".rstrip() for line in _no_html(story["text"]).splitlines()]
    again = ["", f"Repeat it: {_code(story['replay'])}"] if story["replay"] else []
    return [f"The smallest run that still fails ({_code(story['scenario'])}):", "", *steps, *again, ""]


def _component(predicate: Mapping[str, Any], component: str, title: str) -> list[str]:
    rows = [_row(claim) for claim in predicate["claims"] if claim["component"] == component]
    rows += [(c["id"], "not run", "", c["title"]) for c in predicate["not_run"] if c["component"] == component]
    return [f"## {component} {title}", "", *_table(("claim", "verdict", "premise", "what was seen"), rows), ""]


def _row(claim: Mapping[str, Any]) -> tuple[object, ...]:
    standing = claim["standing"]
    mark = _MARK.get(standing, f"{claim['verdict']} ({standing})")
    seen = claim["reason"] or figures_shown(claim["figures"])
    where = f" In {_line(claim['history'])}." if claim["history"] else ""
    promise = f"**{_line(claim['title'])}.** {_line(claim['promise'])}"
    text = _Ready(f"{promise} Seen: {_line(seen) or 'nothing more'}.{where}")
    return claim["id"], mark, claim["premise_count"], text


def _able_to_fail(predicate: Mapping[str, Any]) -> list[str]:
    lines = ["## Proven able to fail", ""]
    sabotages = predicate["sabotage"]
    if not sabotages:
        return [*lines, "No sabotage was tried in this run (`hardening certify --prove` does).", ""]
    caught = sum(row.get("detected") is True for row in sabotages)
    rows = [
        (
            *(row["name"], row.get("component", ""), _yes(row.get("detected")), _by(row.get("by"))),
            *(row.get("schedules", ""), row.get("seconds", "")),
        )
        for row in sabotages
    ]
    table = _table(("sabotage", "component", "noticed", "by", "schedules", "seconds"), rows)
    return [*lines, f"{caught} of {len(rows)} deliberate breaks were noticed.", "", *table, ""]


def _by(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)


def _loads(predicate: Mapping[str, Any]) -> list[str]:
    rows = []
    for row in predicate["load"]:
        seen = {name: value for name, value in row.items() if name not in {"name", "held", "evidence"}}
        rows.append((row["name"], _LOAD[load_state(row)], figures_shown(seen)))
    return ["## Load budgets", "", *_table(("budget", "held", "measured"), rows), ""] if rows else []


def _not_exercised(predicate: Mapping[str, Any]) -> list[str]:
    """Claims without a verdict, waivers, and faults without effect: all that was not shown."""
    found = [
        f"- {claim['id']} {_line(claim['title'])} ({claim['standing']}): {_line(claim['reason'])}"
        for claim in predicate["claims"]
        if claim["verdict"] == "UNKNOWN"
    ]
    found += [f"- {claim['id']} {_line(claim['title'])}: not asked for in this run" for claim in predicate["not_run"]]
    found += [
        f"- the fault {_line(entry['kind'])}: it had no effect" for entry in predicate["faults"] if not entry["bit"]
    ]
    found += [
        f"- the load budget {_line(row['name'])}: {_line(row.get('reason', ''))}"
        for row in predicate["load"]
        if load_state(row) in {LoadState.UNKNOWN, LoadState.SPARED}
    ]
    found += [] if predicate["load"] else ["- load budgets: none was measured in this run"]
    lines = ["## Not exercised", "", *(found or ["Nothing: every claim was exercised."]), ""]
    fields = ("claim", "state", "expiry", "owner", "reason")
    rows = [tuple(waiver[name] for name in fields) for waiver in predicate["waivers"]]
    return [*lines, "## Waivers", "", *_table(fields, rows), ""] if rows else lines


def _faults(predicate: Mapping[str, Any]) -> list[str]:
    rows = [
        (entry["kind"], entry["injected"], entry["bit"], figures_shown(entry["bite"]), ", ".join(entry["histories"]))
        for entry in predicate["faults"]
    ]
    return ["## Faults", "", *_table(("kind", "injected", "effective", "how much", "in"), rows), ""] if rows else []


def _histories(predicate: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            *(_link(h["scenario"], h["path"]), h["world"], h["events"], h["seed"], h["schedules"]),
            _code(h["digest"]),
        )
        for h in predicate["histories"]
    ]
    heads = ("scenario", "world", "events", "seed", "schedules", "digest")
    return ["## Histories", "", *_table(heads, rows), ""]


def _repeat(predicate: Mapping[str, Any]) -> list[str]:
    return [
        "## How to repeat it",
        "",
        "The same run on the same code:",
        "",
        f"    hardening certify --seed {predicate['seed']} --out DIR",
        "",
        "The same verdicts from the histories beside this file, without running anything:",
        "",
        "    hardening verify certificate.json",
        "",
        "Verdicts follow from the histories. Who recorded those is proven by a signature alone: where",
        "`certificate.dsse.json` is missing, authorship is unproven.",
        "",
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return [*lines, *("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows)]


def _yes(holds: object) -> str:
    return "yes" if holds is True else _Ready("**no**")


def _link(name: str, path: str) -> str:
    return _Ready(f"[{_line(name)}]({path})") if _STORED.fullmatch(path) else _line(name)


def _code(value: object) -> _Ready:
    return _Ready(f"`{_no_html(' '.join(str(value).split())).replace('`', chr(39)) or ' '}`")


def _cell(value: object) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", _line(value))


def _line(value: object) -> _Ready:
    """One line of text in which nothing is Markdown or HTML; what is ours already stays as it is."""
    if isinstance(value, _Ready):
        return value
    text = _ACTIVE.sub(r"\\\g<0>", " ".join(str(value).split()))
    return _Ready(text.replace("&", "&amp;").replace("<", "&lt;"))


def _no_html(text: str) -> str:
    return text.replace("<", "\\u003c")
