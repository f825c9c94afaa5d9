"""The gate that C7.1 runs is the gate of the workflow, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hardening.runs.gate import GATE_WORDS, WORKFLOW_WORDS

WORKFLOW = Path(__file__).parents[2] / ".github" / "workflows" / "deployment-validation.yml"


@pytest.mark.skipif(not WORKFLOW.exists(), reason="the workflow is not in this tree")
def test_the_workflow_calls_the_gate_that_is_proven() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    lines = [line.strip() for job in jobs for step in job["steps"] for line in step.get("run", "").splitlines()]
    assert [line for line in lines if line.startswith("hardening gate")] == [f"hardening {' '.join(WORKFLOW_WORDS)}"]
    assert GATE_WORDS[: len(WORKFLOW_WORDS)] == WORKFLOW_WORDS
