"""Writes the certificate as in-toto's own ``test-result/v0.1``, for tools that know that predicate and not ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardening.certificate.load_rows import LoadState, load_state
from hardening.certificate.statement import STATEMENT_TYPE

PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"


def result_statement(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """A Statement about the same subjects.

    A claim that is waived or allowed to be unknown is a warned test; one that failed, is unknown or never ran (where
    everything should have) is never among the passed. Gates, sabotages and load budgets are tests of their own; a
    budget that this load need not exercise is a warned one.
    """
    predicate = certificate["predicate"]
    standing = predicate["standing"]
    apart = [(f"gate {gate['gate']}", gate["held"] is True) for gate in predicate["gates"]]
    apart += [(f"sabotage {row['name']}", row.get("detected") is True) for row in predicate["sabotage"]]
    loads = {f"load {row['name']}": load_state(row) for row in predicate["load"]}
    spared = [name for name, state in loads.items() if state is LoadState.SPARED]
    apart += [(name, state is LoadState.HELD) for name, state in loads.items() if state is not LoadState.SPARED]
    body: dict[str, Any] = {
        "result": predicate["result"],
        "configuration": _configuration(predicate),
        "passedTests": [*standing["passed"], *(name for name, held in apart if held)],
        "warnedTests": [*standing["waived"], *standing["allowed"], *spared],
        "failedTests": [*standing["failed"], *standing["unknown"], *(name for name, held in apart if not held)],
    }
    if predicate["environment"]["run_url"]:
        body["url"] = predicate["environment"]["run_url"]
    return {
        "_type": STATEMENT_TYPE,
        "subject": certificate["subject"],
        "predicateType": PREDICATE_TYPE,
        "predicate": body,
    }


def _configuration(predicate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Resource descriptors: the settings that ran, by digest, and each recorded history."""
    settings = _descriptor("configuration", predicate["configuration_digest"])
    return [settings, *(_descriptor(history["path"], history["digest"]) for history in predicate["histories"])]


def _descriptor(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
