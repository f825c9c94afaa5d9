"""JUnit XML, for what shows test results in CI: the writer, and a certificate written with it.

In come cases by suite, or a certificate; out comes the document as text. A claim, a gate, a sabotage and a load budget
are a case each. A skipped case is never a passed one.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hardening.certificate.load_rows import LoadState, load_state
from hardening.certificate.reports.figures_shown import figures_shown
from hardening.claims.claims import COMPONENTS
from hardening.claims.verdict import Exit

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""
_TOTALS = {"failures": "failure", "errors": "error", "skipped": "skipped"}


class Case(NamedTuple):
    """One test case.

    Attributes:
        group: shown as its class.
        name: of the case.
        tag: ``failure``, ``error`` or ``skipped``; empty for a passed one.
        message: one line of why it did not pass.
        text: more about it.
    """

    group: str
    name: str
    tag: str = ""
    message: str = ""
    text: str = ""


def junit(name: str, suites: Mapping[str, Sequence[Case]], started_at: str = "") -> str:
    """The document of these suites, with totals; suites without a case are left out."""
    root = ET.Element("testsuites", {"name": name})
    for title, cases in suites.items():
        if cases:
            root.append(_suite(title, cases, started_at))
    for total in ("tests", *_TOTALS):
        root.set(total, str(sum(int(suite.get(total, 0)) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(title: str, cases: Sequence[Case], started_at: str) -> ET.Element:
    counts = {total: str(sum(case.tag == tag for case in cases)) for total, tag in _TOTALS.items()}
    stamp = {"timestamp": started_at} if started_at else {}
    suite = ET.Element("testsuite", {"name": title, "tests": str(len(cases)), **counts, **stamp})
    for case in cases:
        entry = ET.SubElement(suite, "testcase", {"classname": _clean(case.group), "name": _clean(case.name)})
        if case.tag:
            ET.SubElement(entry, case.tag, {"message": _clean(case.message)}).text = _clean(case.text) or None
        elif case.text:
            ET.SubElement(entry, "system-out").text = _clean(case.text)
    return suite


def _clean(text: str) -> str:
    return _NO_XML.sub("?", str(text))


def render_junit(certificate: Mapping[str, Any]) -> str:
    """A certificate as JUnit XML.

    A failed claim is a ``failure``; one that is unknown and may not be is an ``error``, since nothing was shown;
    waived, allowed and not-run ones are ``skipped`` with the reason. A gate that is not held fails too, so that what
    no claim shows, such as an expired waiver, turns the document red as well.
    """
    predicate = certificate["predicate"]
    suites: dict[str, list[Case]] = {f"{component} {title}": [] for component, title in COMPONENTS.items()}
    for claim in predicate["claims"]:
        suites[f"{claim['component']} {COMPONENTS[claim['component']]}"].append(_claim(claim, predicate))
    for claim in predicate["not_run"]:
        case = Case(claim["id"], claim["title"], "skipped", "not asked for")
        suites[f"{claim['component']} {COMPONENTS[claim['component']]}"].append(case)
    suites["gates"] = [_gate(gate) for gate in predicate["gates"]]
    suites["sabotages: able to fail"] = [_sabotage(row) for row in predicate["sabotage"]]
    suites["load budgets"] = [_load(row) for row in predicate["load"]]
    return junit("signal-hardening", suites, predicate["started_at"][:19])


def _claim(claim: Mapping[str, Any], predicate: Mapping[str, Any]) -> Case:
    name, reason = (claim["id"], claim["title"]), claim["reason"]
    if claim["standing"] == "failed":
        return Case(*name, "failure", reason, _evidence(claim))
    if claim["standing"] == "unknown":
        return Case(*name, "error", f"unknown: {reason}")
    if claim["standing"] == "allowed":
        return Case(*name, "skipped", f"allowed to be unknown: {reason}")
    if claim["standing"] == "waived":
        by = next(w for w in predicate["waivers"] if w["claim"] == claim["id"])
        message = f"waived by {by['owner']} until {by['expiry']} ({by['reason']}): {claim['verdict']}, {reason}"
        return Case(*name, "skipped", message)
    return Case(*name, text=f"premise {claim['premise_count']}; {figures_shown(claim['figures'])}")


def _gate(gate: Mapping[str, Any]) -> Case:
    if gate["held"]:
        return Case("gate", gate["gate"], text=gate["said"])
    return Case("gate", gate["gate"], "error" if gate["exit_code"] == Exit.UNKNOWN else "failure", gate["said"])


def _sabotage(row: Mapping[str, Any]) -> Case:
    seen = _seen(row, "detected")
    if row.get("detected") is True:
        return Case("sabotage", row["name"], text=seen)
    return Case("sabotage", row["name"], "failure", "unnoticed", seen)


def _load(row: Mapping[str, Any]) -> Case:
    state, seen = load_state(row), _seen(row, "held")
    tags = {LoadState.HELD: "", LoadState.MISSED: "failure", LoadState.UNKNOWN: "error", LoadState.SPARED: "skipped"}
    return Case("load", row["name"], tags[state], str(state), seen)


def _seen(row: Mapping[str, Any], flag: str) -> str:
    return figures_shown({name: value for name, value in row.items() if name not in {"name", flag}})


def _evidence(claim: Mapping[str, Any]) -> str:
    lines = [
        f"{event['t']:.3f} s {event['process']} {event['type']}/{event['f']} {event['id']} {event['value']}"
        for event in claim["evidence"]
    ]
    return "\n".join([f"in {claim['history']}", *lines])
