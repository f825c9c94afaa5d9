"""SARIF 2.1.0 for code scanning: a rule for each claim and each gate, a result for each that is not held.

In comes a certificate, out comes the log as JSON. The result of a claim points at the line of the stored history
where its evidence begins, that of a gate at the certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardening.claims.claims import CLAIMS

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION = "2.1.0"
ROOT = "CERTIFICATE"
HEADER_LINES = 1
"""A history's first line is its header; the event with index 0 stands on the next."""


def sarif_log(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """The log as JSON.

    FAIL is kind ``fail`` with level ``error``; UNKNOWN is kind ``open``: too little was seen to decide. A waiver is a
    suppression, which leaves the result in sight.
    """
    predicate = certificate["predicate"]
    waivers = {waiver["claim"]: waiver for waiver in predicate["waivers"] if waiver["state"] == "used"}
    ids = list(CLAIMS)
    results = [
        _result(claim, ids.index(claim["id"]), waivers.get(claim["id"]))
        for claim in predicate["claims"]
        if claim["verdict"] != "PASS"
    ]
    gates = predicate["gates"]
    results += [_gate(gate, len(ids) + number) for number, gate in enumerate(gates) if not gate["held"]]
    driver = {
        "name": "signal-hardening",
        "semanticVersion": predicate["release"],
        "rules": [*map(_rule, ids), *map(_gate_rule, gates)],
    }
    run = {
        "tool": {"driver": driver},
        "originalUriBaseIds": {ROOT: {"description": {"text": "The directory of the certificate."}}},
        "invocations": [
            {
                "executionSuccessful": not predicate["problems"],
                "exitCode": predicate["exit_code"],
                "startTimeUtc": _utc(predicate["started_at"]),
                "endTimeUtc": _utc(predicate["finished_at"]),
                "toolExecutionNotifications": [
                    {"level": "warning", "message": {"text": problem}} for problem in predicate["problems"]
                ],
            }
        ],
        "results": results,
    }
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run]}


def _utc(time: str) -> str:
    return time.replace("+00:00", "Z")


def _rule(claim: str) -> dict[str, Any]:
    entry = CLAIMS[claim]
    return {
        "id": claim,
        "name": "".join(word.capitalize() for word in entry.title.replace(",", " ").split()),
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.promise},
        "help": {"text": f"{entry.promise} It is exercised when: {entry.premise}"},
        "defaultConfiguration": {"level": "error"},
    }


def _result(claim: Mapping[str, Any], rule_index: int, waiver: Mapping[str, Any] | None) -> dict[str, Any]:
    failed = claim["verdict"] == "FAIL"
    result: dict[str, Any] = {
        "ruleId": claim["id"],
        "ruleIndex": rule_index,
        "kind": "fail" if failed else "open",
        "level": "error" if failed else "none",
        "message": {"text": f"{claim['id']} {claim['title']}: {claim['reason']}"},
        "locations": _locations(claim) or [_location("certificate.json", 1)],
        "partialFingerprints": {"claim/v1": claim["id"]},
    }
    if waiver:
        text = f"{waiver['reason']} ({waiver['owner']}, until {waiver['expiry']})"
        result["suppressions"] = [{"kind": "external", "justification": text}]
    return result


def _gate_rule(gate: Mapping[str, Any]) -> dict[str, Any]:
    name = gate["gate"]
    return {
        "id": f"gate.{name}",
        "name": f"Gate{name.capitalize()}",
        "shortDescription": {"text": f"The gate {name} is held"},
        "defaultConfiguration": {"level": "error"},
    }


def _gate(gate: Mapping[str, Any], rule_index: int) -> dict[str, Any]:
    name = f"gate.{gate['gate']}"
    return {
        "ruleId": name,
        "ruleIndex": rule_index,
        "kind": "fail",
        "level": "error",
        "message": {"text": f"the gate {gate['gate']} is not held: {gate['said']}"},
        "locations": [_location("certificate.json", 1)],
        "partialFingerprints": {"gate/v1": name},
    }


def _locations(claim: Mapping[str, Any]) -> list[dict[str, Any]]:
    path = f"histories/{claim['history']}.jsonl"
    return [_location(path, event["index"] + HEADER_LINES + 1) for event in claim["evidence"][:1]]


def _location(path: str, line: int) -> dict[str, Any]:
    artifact = {"uri": path, "uriBaseId": ROOT}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": line}}}
