"""A load run as evidence of a certificate: its budgets as rows, and its history, which the judges read as any other.

The rows are what the run says of itself. Of its claims only the history is taken, so that they are judged again from
the stored file, now and whenever the certificate is verified.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardening.certificate.provenance import Provenance
from hardening.claims.verdict import Exit
from hardening.history.events import HistoryError, parse
from hardening.runs.load import LoadOptions, live_spec, load_plan, run_embedded

LOAD_FILE, HISTORY_FILE = "load.json", "load.jsonl"
CLAIM_PREFIX = "claim."
ROW = ("figure", "limit", "margin", "unit", "count", "reason")


class LoadEvidenceError(ValueError):
    """A directory that is no evidence for this certificate; the message says what is wrong with which file."""


@dataclass(frozen=True, slots=True)
class LoadEvidence:
    """What a load run gives to a certificate.

    Attributes:
        rows: its budgets as ``conclude.Ran.loads`` takes them, in the order of the report.
        history: name of its history in ``histories/``, empty when there is none.
        problem: what cut the run short, empty for nothing.
    """

    rows: Sequence[Mapping[str, Any]] = ()
    history: str = ""
    problem: str = ""


async def gather_load(
    histories: Path,
    shape: str,
    code: Provenance,
    *,
    seed: int = 0,
    duration_s: float | None = None,
    sabotage: str = "",
    on_phase: Callable[[str], None] = lambda _phase: None,
) -> LoadEvidence:
    """Boot a service, load it, judge the run, and put its history into ``histories``.

    Args:
        histories: directory of the certificate's histories.
        shape: a name of ``load_run.USUAL``.
        code: what runs.
        seed: who asks what, and when.
        duration_s: how long requests are started; ``None`` for the shape's own.
        sabotage: the mutant that breaks the service first (a name or ``FILE.py:NAME``).
        on_phase: called with each phase.

    A run that came to nothing leaves one row that is UNKNOWN and may not be.
    """
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        out = Path(directory)
        plan = load_plan(shape, None, duration_s, seed=seed, embedded=True)
        options = LoadOptions(plan, out, spec=live_spec(plan, sabotage=sabotage, commit=code.commit), code=code)
        on_phase("starting")
        problem = await run_embedded(options, lambda record: _tell(record, on_phase), lambda _locust: None)
        on_phase("judging")
        failure = await _judge(out)
        problem = "; ".join(filter(None, (problem, failure)))
        if failure:
            return nothing_from(shape, problem)
        found = adopt_load(out, histories, code, sabotage)
    rows = [*found.rows, *nothing_from(shape, problem).rows] if problem else found.rows
    return LoadEvidence(rows, found.history, problem)


def _tell(record: Mapping[str, Any], on_phase: Callable[[str], None]) -> None:
    if record.get("state") == "running":
        on_phase("{t_s:.0f} s, {sent} sent".format(**record))
    elif record.get("state") in {"resting", "aborted"}:
        on_phase(str(record["state"]))


async def _judge(out: Path) -> str:
    """Write the run's reports; what kept them from being written, empty for nothing."""
    argv = [sys.executable, "-m", "hardening.load", "judge", str(out)]
    pipe = asyncio.subprocess.PIPE
    judge = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.DEVNULL, stderr=pipe)
    _, said = await judge.communicate()
    if judge.returncode in {Exit.OK, Exit.FAILED, Exit.UNKNOWN} and (out / LOAD_FILE).is_file():
        return ""
    words = said.decode("utf-8", "replace").strip().splitlines()
    return words[-1] if words else f"the judge of the load ended with {judge.returncode}"


def nothing_from(shape: str, problem: str) -> LoadEvidence:
    """What is left of a run that came to nothing: a row that is UNKNOWN and may not be."""
    row = {"name": f"{shape}.run", "held": False, "verdict": "UNKNOWN", "required": True, "reason": problem}
    return LoadEvidence((row,), "", problem)


def read_load(directory: Path, code: Provenance, sabotage: str = "") -> tuple[dict[str, Any], bytes]:
    """``load.json`` of a judged run and the bytes of its history, checked against one another and against the code.

    Raises:
        LoadEvidenceError: when a file is missing or damaged, the history is another than was judged, or the run was
            of another service or code, broken in another way than by ``sabotage``, or ended early.
    """
    try:
        load = json.loads((directory / LOAD_FILE).read_text(encoding="utf-8"))
        data = (directory / HISTORY_FILE).read_bytes()
        stated = {"digest": load["history_digest"], "shape": load["plan"]["shape"], "rows": rows_of(load)}
        extra = parse(data.decode()).header.extra
    except OSError as error:
        raise LoadEvidenceError(f"{error.filename} cannot be read ({error.strerror})") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise LoadEvidenceError(f"{directory / LOAD_FILE} is no report of a load run ({error})") from None
    except (ValueError, HistoryError, RecursionError) as error:
        raise LoadEvidenceError(f"{directory} holds no intact load run ({error})") from None
    if stated["digest"] != digest_of_bytes(data):
        raise LoadEvidenceError(f"{directory / HISTORY_FILE} is not the history that {LOAD_FILE} was judged from")
    about = extra.get("code_digest")
    if about is None:
        raise LoadEvidenceError(f"{directory} is about a service elsewhere: nobody knows what code that runs")
    if about != code.code_digest:
        raise LoadEvidenceError(f"{directory} is about other code ({about}) than runs here ({code.code_digest})")
    if extra.get("sabotage", "") != sabotage:
        raise LoadEvidenceError(f"{directory} is about a service that was broken on purpose ({extra['sabotage']})")
    if load.get("ended_early"):
        raise LoadEvidenceError(f"{directory} holds a run that was ended early")
    return load, data


def digest_of_bytes(data: bytes) -> str:
    """``sha256:...`` of a file's bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def rows_of(load: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a certificate from ``load.json``: budgets only, for claims are judged from the history."""
    shape = load["plan"]["shape"]
    required = frozenset(load["figures"]["required"].get(shape, ()))
    return [
        {
            "name": f"{shape}.{line['name']}",
            "held": line["verdict"] == "PASS",
            "verdict": line["verdict"],
            "required": line["name"] in required,
            **{name: line[name] for name in ROW if line[name] not in (None, "")},
        }
        for line in load["budgets"]
        if not line["name"].startswith(CLAIM_PREFIX)
    ]


def adopt_load(directory: Path, histories: Path, code: Provenance, sabotage: str = "") -> LoadEvidence:
    """Take a judged run as evidence: copy its history into ``histories``.

    Raises:
        LoadEvidenceError: as ``read_load`` does; nothing is copied then.
    """
    load, data = read_load(directory, code, sabotage)
    name = f"load-{load['plan']['shape']}"
    (histories / f"{name}.jsonl").write_bytes(data)
    return LoadEvidence(rows_of(load), name)
