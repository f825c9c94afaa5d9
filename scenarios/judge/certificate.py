"""The certificate: an in-toto Statement that says what was proven, from which histories, and what was not.

Pure: facts in, JSON out. ``result`` and exit code come from the *Result* table (``verdict.result_of``) alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scenarios.judge.claims import CLAIMS
from scenarios.judge.verdict import Outcome, Tally, Verdict, result_of

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:signal-hardening:certificate:v1"


class AllowListError(ValueError):
    """A list of allowed UNKNOWN claims that cannot be; the message names the line and what is allowed."""


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """One stored history: scenario, path relative to the certificate, ``sha256:`` of its bytes, fault bites."""

    scenario: str
    path: str
    digest: str
    world: str
    events: int
    faults: Mapping[str, bool] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The entry of ``predicate.histories``."""
        return {
            "scenario": self.scenario,
            "path": self.path,
            "digest": self.digest,
            "world": self.world,
            "events": self.events,
            "faults": dict(self.faults),
        }


@dataclass(frozen=True, slots=True)
class Story:
    """A failure as it looked when it was shrunk: claim and scenario, the story, a lane diagram, a line to replay."""

    claim: str
    scenario: str
    text: str
    lane_svg: str = ""
    replay: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate states beside its verdicts."""

    seed: int
    commit: str
    code_digest: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    histories: Sequence[HistoryFile]
    started_at: str
    finished_at: str
    sabotage: str = ""
    problems: Sequence[str] = ()


def parse_allow_list(text: str) -> frozenset[str]:
    """Claim ids, one a line; ``#`` begins a comment.

    Raises:
        AllowListError: for a line that is no claim.
    """
    found: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        claim = line.partition("#")[0].strip()
        if not claim:
            continue
        if claim not in CLAIMS:
            raise AllowListError(f"allow-unknown line {number} is {claim!r}, allowed: claim ids such as C2.1")
        found.add(claim)
    return frozenset(found)


def claim_entry(verdict: Verdict, tally: Tally) -> dict[str, Any]:
    """One entry of ``predicate.claims``."""
    entry: dict[str, Any] = {
        "id": verdict.claim,
        "component": CLAIMS[verdict.claim].component,
        "title": CLAIMS[verdict.claim].title,
        "verdict": str(verdict.outcome),
        "premise_count": verdict.premise_count,
        "figures": dict(verdict.figures),
        "evidence": [dict(event) for event in verdict.evidence],
        "reason": verdict.reason,
        "history": verdict.history,
    }
    if verdict.outcome is Outcome.UNKNOWN:
        entry["allowed"] = verdict.claim in tally.allowed_unknown
    if verdict.outcome is not Outcome.PASS:
        entry["waived"] = verdict.claim in tally.waived
    return entry


def statement(verdicts: Sequence[Verdict], tally: Tally, facts: Facts) -> dict[str, Any]:
    """The whole certificate as JSON."""
    result, exit_code = result_of(verdicts, tally)
    subjects = [{"name": "signal-hardening", "digest": {"sha256": facts.code_digest.removeprefix("sha256:")}}]
    if tally.clean_commit:
        subjects.append({"name": "git", "digest": {"gitCommit": facts.commit}})
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": str(result),
            "exit_code": int(exit_code),
            "claims": [claim_entry(verdict, tally) for verdict in verdicts],
            "counts": count(verdicts),
            "settings": dict(facts.settings),
            "seed": facts.seed,
            "commit": facts.commit,
            "clean_commit": tally.clean_commit,
            "code_digest": facts.code_digest,
            "versions": dict(facts.versions),
            "histories": [history.to_json() for history in facts.histories],
            "sabotage_applied": facts.sabotage,
            "allowed_unknown": sorted(tally.allowed_unknown),
            "subset": tally.subset,
            "problems": list(facts.problems),
            "started_at": facts.started_at,
            "finished_at": facts.finished_at,
        },
    }


def count(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """How many claims got each verdict."""
    counts = {str(outcome): 0 for outcome in Outcome}
    for verdict in verdicts:
        counts[str(verdict.outcome)] += 1
    return counts


def digest_files(files: Mapping[str, bytes]) -> str:
    """``sha256:`` over names and contents, in order of the names."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{name}\0{len(files[name])}\0".encode())
        whole.update(files[name])
    return "sha256:" + whole.hexdigest()
