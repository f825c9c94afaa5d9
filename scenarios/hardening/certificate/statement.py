"""The certificate: an in-toto Statement of what was proven, from which histories, and what was not.

In come verdicts and ``Facts`` (times in ISO 8601, UTC), out comes JSON; pure. A bad allow-list is an
``AllowListError``. ``result`` and exit code come from the *Result* table (``verdict.result_of``) alone, and the whole
predicate from the verdicts and ``Facts``, so that it can be made again from what is stored. Its fields are described in
``docs/CERTIFICATE.md``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hardening.certificate.load_rows import LoadState, load_state
from hardening.certificate.waivers import Waiver, state_of
from hardening.claims.claims import CLAIMS
from hardening.claims.verdict import Outcome, Standing, Tally, Verdict, gates_of, result_of, standing_of, warnings_of
from hardening.history.events import History, digest_of

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:signal-hardening:certificate:v1"
VALID_FOR = timedelta(days=30)


class AllowListError(ValueError):
    """A list of allowed UNKNOWN claims that cannot be; the message names the line and what is allowed."""


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """One stored history: scenario, path relative to the certificate, ``sha256:`` of its bytes, effects of faults."""

    scenario: str
    path: str
    digest: str
    world: str
    events: int
    faults: Mapping[str, bool] = field(default_factory=dict)
    seed: int = 0
    schedules: int = 1
    plan: Any = None

    @classmethod
    def of(cls, scenario: str, path: str, data: bytes, history: History) -> HistoryFile:
        """What the certificate says of the history that ``data`` holds."""
        extra = history.header.extra
        return cls(
            scenario,
            path,
            "sha256:" + hashlib.sha256(data).hexdigest(),
            history.header.world,
            len(history.events),
            {kind: bool(entry["bit"]) for kind, entry in _effects({scenario: history}).items()},
            history.header.seed,
            extra.get("schedules", 1),
            extra.get("plan"),
        )


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
    """What a certificate states beside its verdicts; times are ISO 8601 in UTC.

    Attributes:
        partial: only some of the scenarios ran.
        waivers: as they were given; whether they count is decided at ``finished_at``.
        sabotages: rows of the sabotage table, with ``name`` and ``detected``.
        loads: load budgets, with ``name`` and what ``load_state`` reads.
        faults: per kind how often it was injected and had an effect, see ``fault_table``.
        since: what changed since an older certificate.
    """

    seed: int
    commit: str
    code_digest: str
    release: str
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    histories: Sequence[HistoryFile]
    started_at: str
    finished_at: str
    sabotage: str = ""
    problems: Sequence[str] = ()
    allowed_unknown: frozenset[str] = frozenset()
    partial: bool = False
    waivers: Sequence[Waiver] = ()
    sabotages: Sequence[Mapping[str, Any]] = ()
    loads: Sequence[Mapping[str, Any]] = ()
    stories: Sequence[Story] = ()
    faults: Sequence[Mapping[str, Any]] = ()
    since: Mapping[str, Any] | None = None


def is_clean(commit: str) -> bool:
    """True when the commit is known and its tree held nothing else."""
    return commit not in {"", "unknown"} and not commit.endswith("-dirty")


def _effects(histories: Mapping[str, History]) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for name, history in histories.items():
        for event in history.events:
            if event.type != "fault":
                continue
            kind = str(event.value["kind"])
            entry = table.setdefault(kind, {"kind": kind, "injected": 0, "bit": 0, "bite": {}, "histories": []})
            if name not in entry["histories"]:
                entry["histories"].append(name)
            if event.f == "inject":
                entry["injected"] += 1
                continue
            entry["bit"] += bool(event.value["bit"])
            for unit, number in event.value["bite"].items():
                if isinstance(number, int | float):
                    entry["bite"][unit] = entry["bite"].get(unit, 0) + number
    return table


def fault_table(histories: Mapping[str, History]) -> list[dict[str, Any]]:
    """Per kind of fault, by name: how often it was injected and had an effect, the effects added up, and where."""
    return [entry for _, entry in sorted(_effects(histories).items())]


def tally_of(verdicts: Sequence[Verdict], facts: Facts) -> Tally:
    """What beside the verdicts decides the result."""
    finished = datetime.fromisoformat(facts.finished_at)
    states = {waiver.claim: state_of(waiver, verdicts, finished) for waiver in facts.waivers}
    return Tally(
        allowed_unknown=facts.allowed_unknown,
        waived=frozenset(claim for claim, state in states.items() if state == "used"),
        expired=frozenset(claim for claim, state in states.items() if state == "expired"),
        undetected=tuple(str(row["name"]) for row in facts.sabotages if row.get("detected") is not True),
        missed=tuple(str(row["name"]) for row in facts.loads if load_state(row) is LoadState.MISSED),
        unmeasured=tuple(str(row["name"]) for row in facts.loads if load_state(row) is LoadState.UNKNOWN),
        subset=facts.partial or {v.claim for v in verdicts} < set(CLAIMS),
        clean_commit=is_clean(facts.commit),
        sabotaged=bool(facts.sabotage),
    )


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
    claim = CLAIMS[verdict.claim]
    return {
        "id": claim.id,
        "component": claim.component,
        "title": claim.title,
        "promise": claim.promise,
        "premise": claim.premise,
        "verdict": str(verdict.outcome),
        "standing": str(standing_of(verdict, tally)),
        "premise_count": verdict.premise_count,
        "figures": dict(verdict.figures),
        "evidence": [dict(event) for event in verdict.evidence],
        "reason": verdict.reason,
        "history": verdict.history,
    }


def _finite(value: Any) -> Any:
    """The same as plain JSON, which knows neither infinity nor NaN."""
    if isinstance(value, Mapping):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _standings(verdicts: Sequence[Verdict], tally: Tally) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {str(standing): [] for standing in Standing}
    for verdict in verdicts:
        found[str(standing_of(verdict, tally))].append(verdict.claim)
    judged = {verdict.claim for verdict in verdicts}
    return {**found, "not_run": [claim for claim in CLAIMS if claim not in judged]}


def _expires_at(facts: Facts, waived: frozenset[str]) -> str:
    """30 days on, or when the first waiver that counts ends."""
    finished = datetime.fromisoformat(facts.finished_at)
    ends = [waiver.ends_at for waiver in facts.waivers if waiver.claim in waived]
    return min([finished + VALID_FOR, *ends]).isoformat(timespec="seconds")


def _judged(verdicts: Sequence[Verdict], tally: Tally, facts: Facts) -> dict[str, Any]:
    """The part of the predicate that follows from the verdicts."""
    result, exit_code = result_of(verdicts, tally)
    standings = _standings(verdicts, tally)
    finished = datetime.fromisoformat(facts.finished_at)
    return {
        "result": str(result),
        "exit_code": int(exit_code),
        "gates": [gate.to_json() for gate in gates_of(verdicts, tally)],
        "warnings": list(warnings_of(verdicts, tally)),
        "counts": count(verdicts),
        "standing": standings,
        "claims": [claim_entry(verdict, tally) for verdict in verdicts],
        "not_run": [
            {"id": claim, "component": CLAIMS[claim].component, "title": CLAIMS[claim].title}
            for claim in standings["not_run"]
        ],
        "waivers": [{**w.to_json(), "state": state_of(w, verdicts, finished)} for w in facts.waivers],
        "subset": tally.subset,
        "clean_commit": tally.clean_commit,
        "expires_at": _expires_at(facts, tally.waived),
    }


def _stated(facts: Facts) -> dict[str, Any]:
    """The part of the predicate that the run states, histories included."""
    return {
        "faults": [dict(entry) for entry in facts.faults],
        "sabotage": [dict(row) for row in facts.sabotages],
        "load": [dict(row) for row in facts.loads],
        "stories": [asdict(story) for story in facts.stories],
        "histories": [asdict(history) for history in facts.histories],
        "environment": dict(facts.environment),
        "settings": dict(facts.settings),
        "configuration_digest": digest_of(facts.settings),
        "seed": facts.seed,
        "release": facts.release,
        "code_digest": facts.code_digest,
        "commit": facts.commit,
        "sabotage_applied": facts.sabotage,
        "allowed_unknown": sorted(facts.allowed_unknown),
        "partial": facts.partial,
        "problems": list(facts.problems),
        "since": None if facts.since is None else dict(facts.since),
        "started_at": facts.started_at,
        "finished_at": facts.finished_at,
    }


def statement(verdicts: Sequence[Verdict], facts: Facts) -> dict[str, Any]:
    """The whole certificate as JSON."""
    tally = tally_of(verdicts, facts)
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects(facts.code_digest, facts.commit),
        "predicateType": PREDICATE_TYPE,
        "predicate": _finite({**_judged(verdicts, tally, facts), **_stated(facts)}),
    }


def subjects(code_digest: str, commit: str) -> list[dict[str, Any]]:
    """The code that ran, and its git commit when that is exactly this code."""
    found = [{"name": "signal-hardening", "digest": {"sha256": code_digest.removeprefix("sha256:")}}]
    return [*found, {"name": "git", "digest": {"gitCommit": commit}}] if is_clean(commit) else found


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
