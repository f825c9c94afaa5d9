"""JUnit XML: a suite for each component and a test case for each claim, for what shows test results in CI."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from typing import Any

from hardening.certificate.load_rows import LoadState, load_state
from hardening.certificate.reports.figures_shown import figures_shown

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


def render_junit(certificate: Mapping[str, Any], components: Mapping[str, str]) -> str:
    """The document as text.

    A failed claim is a ``failure``; one that is unknown and may not be is an ``error``, since nothing was shown;
    waived, allowed and not-run ones are ``skipped`` with the reason. So a skipped test is never a passed one.
    """
    predicate = certificate["predicate"]
    suites = [
        _suite(
            f"{component} {title}",
            [_claim(claim, predicate) for claim in predicate["claims"] if claim["component"] == component]
            + [
                _case(claim["id"], claim["title"], "skipped", "not asked for")
                for claim in predicate["not_run"]
                if claim["component"] == component
            ],
        )
        for component, title in components.items()
    ]
    if predicate["sabotage"]:
        suites.append(_suite("sabotages: able to fail", [_sabotage(row) for row in predicate["sabotage"]]))
    if predicate["load"]:
        suites.append(_suite("load budgets", [_load(row) for row in predicate["load"]]))
    root = ET.Element("testsuites", _totals(suites) | {"name": "signal-hardening"})
    for suite in suites:
        suite.set("timestamp", predicate["started_at"][:19])
        root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _totals(suites: Iterable[ET.Element]) -> dict[str, str]:
    suites = list(suites)
    return {name: str(sum(int(s.get(name, 0)) for s in suites)) for name in ("tests", "failures", "errors", "skipped")}


def _suite(name: str, cases: list[ET.Element]) -> ET.Element:
    kinds = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    counts = {total: str(sum(case.find(tag) is not None for case in cases)) for total, tag in kinds.items()}
    suite = ET.Element("testsuite", {"name": name, "tests": str(len(cases)), **counts})
    suite.extend(cases)
    return suite


def _case(group: str, name: str, tag: str = "", message: str = "", text: str = "") -> ET.Element:
    case = ET.Element("testcase", {"classname": group, "name": _clean(name)})
    if tag:
        child = ET.SubElement(case, tag, {"message": _clean(message)})
        child.text = _clean(text) or None
    elif text:
        ET.SubElement(case, "system-out").text = _clean(text)
    return case


def _claim(claim: Mapping[str, Any], predicate: Mapping[str, Any]) -> ET.Element:
    reason, standing = claim["reason"], claim["standing"]
    if standing == "failed":
        return _case(claim["id"], claim["title"], "failure", reason, _evidence(claim))
    if standing == "unknown":
        return _case(claim["id"], claim["title"], "error", f"unknown: {reason}")
    if standing == "allowed":
        return _case(claim["id"], claim["title"], "skipped", f"allowed to be unknown: {reason}")
    if standing == "waived":
        by = next(w for w in predicate["waivers"] if w["claim"] == claim["id"])
        message = f"waived by {by['owner']} until {by['expiry']} ({by['reason']}): {claim['verdict']}, {reason}"
        return _case(claim["id"], claim["title"], "skipped", message)
    seen = f"premise {claim['premise_count']}; {figures_shown(claim['figures'])}"
    return _case(claim["id"], claim["title"], text=seen)


def _sabotage(row: Mapping[str, Any]) -> ET.Element:
    seen = _seen(row, "detected")
    if row.get("detected") is True:
        return _case("sabotage", row["name"], text=seen)
    return _case("sabotage", row["name"], "failure", "unnoticed", seen)


def _load(row: Mapping[str, Any]) -> ET.Element:
    state, seen = load_state(row), _seen(row, "held")
    tags = {LoadState.HELD: "", LoadState.MISSED: "failure", LoadState.UNKNOWN: "error", LoadState.SPARED: "skipped"}
    return _case("load", row["name"], tags[state], str(state), seen)


def _seen(row: Mapping[str, Any], flag: str) -> str:
    return figures_shown({name: value for name, value in row.items() if name not in {"name", flag}})


def _evidence(claim: Mapping[str, Any]) -> str:
    lines = [
        f"{event['t']:.3f} s {event['process']} {event['type']}/{event['f']} {event['id']} {event['value']}"
        for event in claim["evidence"]
    ]
    return "\n".join([f"in {claim['history']}", *lines])


def _clean(text: str) -> str:
    return _NO_XML.sub("?", str(text))
