"""Compares a certificate with an older one: verdicts, faults, sabotages, load budgets, the result.

In come the older ``certificate.json`` and the new certificate, out comes a line for each change. A file that is no
certificate is a ``BaselineError``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardening.certificate.load_rows import load_state
from hardening.certificate.statement import PREDICATE_TYPE

GONE = "not there"


class BaselineError(ValueError):
    """An older certificate that cannot be compared with; the message names the option, the file and what is allowed."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An older certificate: the digest of its file, and its predicate."""

    digest: str
    predicate: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read ``certificate.json`` of an earlier run.

        Raises:
            BaselineError: when it is not one.
        """
        wanted = "a certificate.json of an earlier run"
        try:
            data = path.read_bytes()
            statement = json.loads(data)
            if statement["predicateType"] != PREDICATE_TYPE:
                raise ValueError
            predicate = statement["predicate"]
            baseline = cls("sha256:" + hashlib.sha256(data).hexdigest(), predicate)
            baseline.table()
            _ = predicate["result"], predicate["finished_at"]
        except OSError as error:
            raise BaselineError(f"--baseline is {str(path)!r}, allowed: {wanted} ({error.strerror})") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BaselineError(f"--baseline is {str(path)!r}, allowed: {wanted}") from None
        return baseline

    def table(self) -> dict[str, str]:
        """What is compared: the state of each thing by its name."""
        return _table(self.predicate)


def _table(predicate: Mapping[str, Any]) -> dict[str, str]:
    table = {"result": str(predicate["result"])}
    for claim in predicate["claims"]:
        verdict, standing = str(claim["verdict"]), str(claim["standing"])
        table[f"{claim['id']} {claim['title']}"] = f"{verdict} (waived)" if standing == "waived" else verdict
    for entry in predicate["faults"]:
        table[f"fault {entry['kind']}"] = "effective" if entry["bit"] else "without effect"
    for row in predicate["sabotage"]:
        table[f"sabotage {row['name']}"] = "detected" if row.get("detected") is True else "unnoticed"
    for row in predicate["load"]:
        table[f"load {row['name']}"] = str(load_state(row))
    return table


def changes(old: Baseline, certificate: Mapping[str, Any]) -> dict[str, Any]:
    """``predicate.since``: which certificate it was compared with, and a line for each change."""
    before, after = old.table(), _table(certificate["predicate"])
    names = [*after, *(name for name in before if name not in after)]
    lines = [
        f"{name}: {before.get(name, GONE)} -> {after.get(name, GONE)}"
        for name in names
        if before.get(name) != after.get(name)
    ]
    return {
        "baseline": old.digest,
        "result": old.predicate["result"],
        "finished_at": old.predicate["finished_at"],
        "changes": lines,
    }
