"""The certificate's Markdown twin: the same facts, to be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REAL_PARTS = ("python", "redis_server", "toxiproxy")
"""Versions that a reader looks for first: what was real and what stood in."""

_MARK = {"PASS": "PASS", "FAIL": "**FAIL**", "UNKNOWN": "UNKNOWN"}


def render(certificate: Mapping[str, Any], components: Mapping[str, str]) -> str:
    """Markdown of a certificate; ``components`` maps ``C1`` ... to their titles."""
    predicate = certificate["predicate"]
    lines = [f"# Certificate: {predicate['result']}", "", _summary(predicate), ""]
    for component, title in components.items():
        claims = [claim for claim in predicate["claims"] if claim["component"] == component]
        if not claims:
            continue
        lines += [f"## {component} {title}", "", "| claim | verdict | premise | what was seen |", "|---|---|---|---|"]
        lines += [_row(claim) for claim in claims]
        lines.append("")
    failures = [claim for claim in predicate["claims"] if claim["verdict"] == "FAIL"]
    if failures:
        lines += ["## What failed", ""]
        for claim in failures:
            lines += _story(claim)
    lines += _histories(predicate)
    return "\n".join(lines) + "\n"


def _summary(predicate: Mapping[str, Any]) -> str:
    counts = predicate["counts"]
    commit = predicate["commit"] if predicate["clean_commit"] else f"{predicate['commit']} (not a clean commit)"
    parts = [
        f"{counts['PASS']} claims passed, {counts['FAIL']} failed, {counts['UNKNOWN']} unknown.",
        f"Seed {predicate['seed']}, commit {commit}, {predicate['started_at']} to {predicate['finished_at']}.",
    ]
    real = [f"{name}: {predicate['versions'][name]}" for name in REAL_PARTS if name in predicate["versions"]]
    if real:
        parts.append(f"Ran on {'; '.join(real)}.")
    if predicate["sabotage_applied"]:
        parts.append(f"The service was sabotaged on purpose: `{predicate['sabotage_applied']}`.")
    if predicate["allowed_unknown"]:
        parts.append(f"Allowed to be unknown: {', '.join(predicate['allowed_unknown'])}.")
    return "\n".join(parts + [f"Problem: {problem}" for problem in predicate["problems"]])


def _row(claim: Mapping[str, Any]) -> str:
    seen = claim["reason"] or _figures(claim["figures"])
    text = f"{claim['title']}: {seen}".replace("|", "\\|").replace("\n", " ")
    return f"| {claim['id']} | {_MARK[claim['verdict']]} | {claim['premise_count']} | {text} |"


def _figures(figures: Mapping[str, Any]) -> str:
    """Figures as ``name value``; those of several histories by name of the history."""
    shown = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            shown.append(f"{name}: {_figures(value)}" if value else name)
        elif isinstance(value, float):
            shown.append(f"{name} {value:g}")
        else:
            shown.append(f"{name} {value}")
    return "; ".join(shown)


def _story(claim: Mapping[str, Any]) -> list[str]:
    lines = [f"### {claim['id']} in `{claim['history']}`", "", claim["reason"], ""]
    for event in claim["evidence"]:
        name = f"{event['type']}/{event['f']}"
        lines.append(f"- {event['t']:.3f} s, {event['process']}: {name} {event['id']} `{event['value']}`"[:500])
    return [*lines, ""]


def _histories(predicate: Mapping[str, Any]) -> list[str]:
    lines = ["## Histories", "", "| scenario | world | events | faults that bit | digest |", "|---|---|---|---|---|"]
    for history in predicate["histories"]:
        faults = ", ".join(f"{name}{'' if bit else ' (did not bite)'}" for name, bit in history["faults"].items())
        lines.append(
            f"| [{history['scenario']}]({history['path']}) | {history['world']} | {history['events']} "
            f"| {faults or 'none'} | `{history['digest'][:23]}...` |"
        )
    again = f"hardening certify --seed {predicate['seed']} --out DIR"
    return [*lines, "", "## How to repeat it", "", f"    {again}"]
