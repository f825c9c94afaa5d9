"""What a judged load run leaves for machines: ``load.json``, JUnit XML, CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from loadtests.records import Recorded
from loadtests.spec import LoadSpec
from loadtests.verdicts import Held, counts
from scenarios.judge.verdict import Exit, Outcome

FORMAT = "signal-hardening/load"


def summary(
    spec: LoadSpec, run: Recorded, budgets: Sequence[Held], code: Exit, figures: Mapping[str, Any]
) -> dict[str, Any]:
    """``load.json``: what ran, each budget with its figure and margin, the counts, the exit code."""
    return {
        "format": FORMAT,
        "version": 1,
        "spec": {**asdict(spec), "out": "."},
        "exit_code": int(code),
        "counts": counts(budgets),
        "requests": len(run.requests),
        "accepted": sum(record.accepted for record in run.requests),
        "rejected": sum(record.status == 429 for record in run.requests),
        "shed": sum(record.status == 503 and record.operation != "ready" for record in run.requests),
        "seconds": round(run.ended_s, 3),
        "budgets": [one.to_json() for one in budgets],
        **figures,
    }


def write_files(folder: Path, said: Mapping[str, Any], run: Recorded, budgets: Sequence[Held]) -> None:
    """Write all three."""
    (folder / "load.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    (folder / "junit.xml").write_bytes(junit(budgets))
    with (folder / "requests.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("at_s", "began_s", "latency_s", "id", "kind", "operation", "priority", "status", "error"))
        for r in run.requests:
            writer.writerow((r.at_s, r.began_s, r.latency_s, r.id, r.kind, r.operation, r.priority, r.status, r.error))


def junit(budgets: Sequence[Held]) -> bytes:
    """One test case a budget; an UNKNOWN that is not required is skipped."""
    failed = sum(one.outcome is Outcome.FAIL for one in budgets)
    errors = sum(one.outcome is Outcome.UNKNOWN and one.required for one in budgets)
    skipped = sum(one.outcome is Outcome.UNKNOWN and not one.required for one in budgets)
    suite = ElementTree.Element(
        "testsuite",
        name="load budgets",
        tests=str(len(budgets)),
        failures=str(failed),
        errors=str(errors),
        skipped=str(skipped),
    )
    for one in budgets:
        section, _, rest = one.name.partition(".")
        case = ElementTree.SubElement(suite, "testcase", classname=f"load.{section}", name=rest)
        if one.outcome is Outcome.FAIL:
            ElementTree.SubElement(case, "failure", message=one.line()).text = ", ".join(one.evidence)
        elif one.outcome is Outcome.UNKNOWN:
            tag = "error" if one.required else "skipped"
            ElementTree.SubElement(case, tag, message=one.reason)
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))
