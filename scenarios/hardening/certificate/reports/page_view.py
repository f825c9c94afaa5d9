"""Turns a certificate and its histories into plain values that the page's template only has to lay out.

Nothing is raised for what a certificate lacks: certificates of older versions lack fields; what is missing is empty
here, and never made up.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from hardening.certificate.reports.figures_shown import figures_shown
from hardening.certificate.reports.history_svg import Mark, draw
from hardening.certificate.reports.timeline import Timeline, timeline_of
from hardening.claims.claims import CLAIMS, COMPONENTS
from hardening.history.events import History

STANDINGS: Mapping[str, tuple[str, str, str]] = {
    "failed": ("✕", "failed", "broke its promise"),
    "unknown": ("?", "unknown", "not shown, and may not stay so"),
    "waived": ("~", "waived", "excused by name, with an end"),
    "allowed": ("◌", "allowed unknown", "not shown, known beforehand"),
    "not_run": ("\N{EN DASH}", "not run", "not asked for"),
    "passed": ("✓", "passed", "exercised, and holds"),
}
"""Sign, name and meaning of each standing, the hardest first."""
EVIDENCE_MAX = 40
EVIDENCE_CHARS_MAX = 2_000
_STORED = re.compile(r"histories/[\w.-]+\.jsonl")


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One claim as a row of the table; ``failed`` says that the page shows its failure."""

    id: str
    component: str
    title: str
    standing: str
    verdict: str
    promise: str
    premise: str
    premise_count: int | None
    seen: str
    figures: Sequence[tuple[str, str, bool]]
    histories: Sequence[tuple[str, bool]]
    failed: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure: the claim, its evidence, and the smallest runs that still fail."""

    key: str
    claim: str
    title: str
    standing: str
    promise: str
    reason: str
    history: str
    drawn: bool
    evidence: Sequence[Mapping[str, Any]]
    left_out: int
    shrunk: Sequence[Mapping[str, Any]]
    repeat: str


@dataclass(frozen=True, slots=True)
class HistoryView:
    """A history with its drawing; ``timeline`` is ``None`` where the history itself is not at hand."""

    name: str
    key: str
    entry: Mapping[str, Any]
    href: str
    timeline: Timeline | None
    svg: Markup
    failed: Sequence[str]
    open: bool


@dataclass(frozen=True, slots=True)
class PageView:
    """Everything the template lays out; ``p`` is the predicate with every field present."""

    p: Mapping[str, Any]
    subjects: Sequence[Mapping[str, Any]]
    components: Sequence[tuple[str, str, Sequence[ClaimRow]]]
    counts: Sequence[tuple[str, int]]
    gates: Sequence[Mapping[str, Any]]
    failures: Sequence[Failure]
    histories: Sequence[HistoryView]
    matrix: Mapping[str, Any]
    facts: Sequence[tuple[str, str, bool]] = field(default=())


def page_view(certificate: Mapping[str, Any], histories: Mapping[str, History]) -> PageView:
    """Make the view of a certificate and of the histories that it was made from, by the names of their files."""
    p = _whole(certificate.get("predicate") or {})
    keys = {name: f"history-{anchor(name)}" for name in sorted({*histories, *(h["scenario"] for h in p["histories"])})}
    failures = _failures(p, keys)
    rows = [_claim(claim, keys, failures) for claim in p["claims"]]
    rows += [_not_run(claim) for claim in p["not_run"]]
    present = [
        (name, title, [row for row in rows if row.component == name])
        for name, title in {
            **COMPONENTS,
            **{r.component: r.component for r in rows if r.component not in COMPONENTS},
        }.items()
    ]
    return PageView(
        p=p,
        subjects=[s for s in certificate.get("subject") or () if isinstance(s, Mapping)],
        components=[entry for entry in present if entry[2]],
        counts=[(standing, sum(row.standing == standing for row in rows)) for standing in STANDINGS],
        gates=p["gates"] or _gates(rows),
        failures=failures,
        histories=_histories(p, histories, keys),
        matrix=_matrix(p["sabotage"]),
        facts=_facts(p),
    )


def _whole(predicate: Mapping[str, Any]) -> dict[str, Any]:
    """The predicate with every field that is read here, empty where it was missing."""
    lists = (
        *("gates", "warnings", "claims", "not_run", "waivers", "faults", "sabotage", "load", "stories", "histories"),
        *("problems", "allowed_unknown"),
    )
    texts = (
        *("result", "configuration_digest", "release", "code_digest", "commit", "sabotage_applied", "started_at"),
        *("finished_at", "expires_at"),
    )
    whole: dict[str, Any] = {"since": None, "seed": 0, **predicate}
    whole |= {name: list(predicate.get(name) or ()) for name in lists}
    whole |= {name: str(predicate.get(name) or "") for name in texts}
    whole["settings"] = dict(predicate.get("settings") or {})
    versions = dict(predicate.get("versions") or {})
    whole["environment"] = dict(predicate.get("environment") or {"libraries": versions} if versions else {})
    if predicate.get("environment"):
        whole["environment"] = dict(predicate["environment"])
    whole["claims"] = [_known(claim) for claim in whole["claims"]]
    return whole


def _known(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A claim of any version; what the table of claims knows of it stands in for what is missing."""
    known = CLAIMS.get(str(claim.get("id")))
    standing = claim.get("standing")
    if standing is None:
        flags = ("waived" if claim.get("waived") else "", "allowed" if claim.get("allowed") else "")
        standing = next(
            filter(None, flags), {"PASS": "passed", "FAIL": "failed"}.get(str(claim.get("verdict")), "unknown")
        )
    blank = dict.fromkeys(("component", "title", "verdict", "reason", "history", "promise", "premise"), "")
    return {
        **blank,
        "premise_count": None,
        **({"promise": known.promise, "premise": known.premise} if known else {}),
        **claim,
        "standing": standing if standing in STANDINGS else "unknown",
        "figures": dict(claim.get("figures") or {}),
        "evidence": list(claim.get("evidence") or ()),
    }


def _gates(rows: Sequence[ClaimRow]) -> list[dict[str, Any]]:
    """The two gates that verdicts alone decide, for a certificate that does not state its gates."""
    found = []
    for gate, standing, sound in (
        ("claims", "failed", "no claim failed"),
        ("unknown", "unknown", "no claim is unknown"),
    ):
        broken = [row.id for row in rows if row.standing == standing]
        said = f"{standing}: {', '.join(broken)}" if broken else f"{sound} that may not"
        found.append({"gate": gate, "held": not broken, "said": said})
    return found


def anchor(text: str) -> str:
    """Letters, digits, dots and hyphens: safe in an id. A character that it replaces becomes its code point."""
    return "".join(c if c.isascii() and (c.isalnum() or c in ".-") else f"_{ord(c):x}" for c in text)


def _split(names: object) -> list[str]:
    return [name.strip() for name in str(names or "").split(",") if name.strip()]


def _claim(claim: Mapping[str, Any], keys: Mapping[str, str], failures: Sequence[Failure]) -> ClaimRow:
    figures = claim["figures"]
    nested = {name: value for name, value in figures.items() if isinstance(value, Mapping)}
    flat = {name: value for name, value in figures.items() if name not in nested}
    shown = [("Figures", figures_shown(flat), False)] if flat else []
    shown += [(str(name), figures_shown(value), name in keys) for name, value in nested.items()]
    return ClaimRow(
        id=str(claim["id"]),
        component=str(claim["component"]),
        title=str(claim["title"]),
        standing=claim["standing"],
        verdict=str(claim["verdict"]),
        promise=str(claim["promise"]),
        premise=str(claim["premise"]),
        premise_count=claim["premise_count"],
        seen=str(claim["reason"]),
        figures=shown,
        histories=[(name, name in keys) for name in _split(claim["history"]) if name not in nested],
        failed=any(story.claim == claim["id"] for story in failures),
    )


def _not_run(claim: Mapping[str, Any]) -> ClaimRow:
    known = CLAIMS.get(str(claim.get("id")))
    promise, premise = (known.promise, known.premise) if known else ("", "")
    head = (str(claim.get("id", "")), str(claim.get("component", "")), str(claim.get("title", "")))
    return ClaimRow(*head, "not_run", "", promise, premise, None, "not asked for in this run", (), (), failed=False)


def _failures(p: Mapping[str, Any], keys: Mapping[str, str]) -> list[Failure]:
    """Each claim that failed, waived or not; then the stories of claims that did not."""
    failed = [claim for claim in p["claims"] if claim["verdict"] == "FAIL"]
    ids = {claim["id"] for claim in failed}
    found = [_story(claim, p, keys) for claim in sorted(failed, key=lambda claim: claim["standing"] == "waived")]
    for number, story in enumerate(s for s in p["stories"] if s.get("claim") not in ids):
        rest: dict[str, Any] = {
            "id": str(story.get("claim") or ""),
            "title": "A run that was cut short",
            "standing": "",
            "promise": "",
        }
        rest |= {"reason": "", "history": "", "evidence": []}
        found.append(_story(rest, {**p, "stories": [story]}, keys, f"story-other-{number}"))
    return found


def _story(claim: Mapping[str, Any], p: Mapping[str, Any], keys: Mapping[str, str], key: str = "") -> Failure:
    evidence = claim["evidence"][:EVIDENCE_MAX]
    shrunk = [s for s in p["stories"] if str(s.get("claim") or "") == str(claim["id"])]
    history = str(claim["history"])
    return Failure(
        key=key or f"story-{anchor(str(claim['id']))}",
        claim=str(claim["id"]),
        title=str(claim["title"]),
        standing=str(claim["standing"]),
        promise=str(claim["promise"]),
        reason=str(claim["reason"]),
        history=history,
        drawn=history in keys,
        evidence=[_evidence(event) for event in evidence],
        left_out=len(claim["evidence"]) - len(evidence),
        shrunk=[{**s, "lane_src": _image(str(s.get("lane_svg") or ""))} for s in shrunk],
        repeat=_repeat(history, p) if history in keys else "",
    )


def _repeat(history: str, p: Mapping[str, Any]) -> str:
    sabotage = f" --sabotage {p['sabotage_applied']}" if p["sabotage_applied"] else ""
    return f"hardening certify --seed {p['seed']} --only {history.removesuffix('-again')}{sabotage} --out DIR"


def _evidence(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as it is shown; its line in the stored history counts the header as the first."""
    value = event.get("value")
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str) if value else ""
    index = event.get("index")
    return {
        "t": event.get("t"),
        "process": event.get("process", ""),
        "name": f"{event.get('type', '')}/{event.get('f', '')}",
        "id": event.get("id", ""),
        "value": text[:EVIDENCE_CHARS_MAX] + ("…" if len(text) > EVIDENCE_CHARS_MAX else ""),
        "line": index + 2 if isinstance(index, int) and index >= 0 else None,
    }


def _image(svg: str) -> str:
    """A drawing that came with the certificate, as an image: as such it can neither run nor load anything."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode() if svg else ""


def _histories(p: Mapping[str, Any], histories: Mapping[str, History], keys: Mapping[str, str]) -> list[HistoryView]:
    entries = {str(h["scenario"]): h for h in p["histories"]}
    marks: dict[str, list[Mark]] = {}
    for claim in p["claims"]:
        if claim["verdict"] == "FAIL":
            found = [
                Mark(float(e["t"]), str(claim["id"])) for e in claim["evidence"] if isinstance(e.get("t"), int | float)
            ]
            marks.setdefault(str(claim["history"]), []).extend(found or [])
    failing = {
        n: list(dict.fromkeys(c["id"] for c in p["claims"] if c["verdict"] == "FAIL" and c["history"] == n))
        for n in keys
    }
    timelines = {name: timeline_of(histories[name]) for name in keys if name in histories}
    liveliest = max(timelines, key=lambda name: (len(timelines[name].changes), name), default="")
    views = []
    for name, key in keys.items():
        timeline = timelines.get(name)
        entry = entries.get(name, {})
        path = str(entry.get("path", ""))
        flags = sorted(marks.get(name, []), key=lambda mark: (mark.t, mark.label))
        svg = draw(timeline, key, f"Timeline of {name}", flags) if timeline else Markup("")
        first = bool(failing[name]) or (not any(failing.values()) and name == liveliest)
        href = path if _STORED.fullmatch(path) else ""
        views.append(HistoryView(name, key, entry, href, timeline, svg, failing[name], first))
    return sorted(views, key=lambda view: (not view.failed, not view.open))


def _matrix(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sabotages by the claims that turned red; the unnoticed first."""
    caught = [{**row, "hits": _hits(row.get("by")), "noticed": row.get("detected") is True} for row in rows]
    columns = [claim for claim in CLAIMS if any(claim in row["hits"] for row in caught)]
    columns += sorted({hit for row in caught for hit in row["hits"]} - set(columns))
    ordered = sorted(caught, key=lambda row: (row["noticed"], str(row.get("component", ""))))
    unproven = [claim for claim in CLAIMS if claim not in columns] if rows else []
    return {
        "rows": ordered,
        "columns": columns,
        "noticed": sum(row["noticed"] for row in ordered),
        "unproven": unproven,
    }


def _hits(by: object) -> list[str]:
    return [str(hit) for hit in by] if isinstance(by, Sequence) and not isinstance(by, str) else _split(by)


def _facts(p: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Name, value and whether it is code: what ran, where, and how long it counts."""
    where = p["environment"]
    clean = "" if p.get("clean_commit") else " (not a clean commit)"
    libraries = where.get("libraries") or {}
    rows = [
        ("Release", p["release"], False),
        ("Commit", f"{p['commit']}{clean}", True),
        ("Code digest", p["code_digest"], True),
        ("Configuration digest", p["configuration_digest"], True),
        ("Seed", str(p["seed"]), True),
        ("Started", p["started_at"], False),
        ("Finished", p["finished_at"], False),
        ("Expires", f"{p['expires_at']}, or with the next release" if p["expires_at"] else "", False),
        ("Python", f"{where.get('implementation', '')} {where.get('python', '')}".strip(), False),
        ("System", ", ".join(filter(None, [str(where.get("os") or ""), str(where.get("machine") or "")])), False),
        ("CPUs", str(where.get("cpus") or ""), False),
        ("Redis", str(where.get("redis_server") or ""), False),
        ("Toxiproxy", str(where.get("toxiproxy") or ""), False),
        ("Libraries", ", ".join(f"{name} {version}" for name, version in libraries.items()), False),
    ]
    return [row for row in rows if row[1]]
