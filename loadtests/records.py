"""Raw records of a load run: a JSON line a request, unrounded, by every worker; and reading them back.

A file begins with ``{"type": "header", "mono_s", "wall_s", "worker"}``. Each request is one line: ``at_s`` (monotonic,
when it was meant to start), ``began_s`` (when it did), ``latency_s`` (from the intended start to the last byte),
``id``, ``kind`` of user, ``operation``, ``method``, ``path``, ``priority``, ``key``, ``status`` (0: no answer),
``error``, and what the answer said. ``{"type": "metrics", "at_s", "series"}`` is a scrape.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.spec import LoadError

REFUSALS = (429, 503)


@dataclass(frozen=True, slots=True)
class Record:
    """One request; times in seconds since the run's first request."""

    at_s: float
    began_s: float
    latency_s: float
    id: str
    kind: str
    operation: str
    priority: str
    status: int
    error: str = ""
    key: str = "valid"
    value: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended_s(self) -> float:
        """When its last byte came, or it was given up."""
        return self.at_s + self.latency_s

    @property
    def product(self) -> bool:
        """Whether it takes a rate slot when it is accepted: asked by a valid key for no critical route."""
        return self.priority != "critical" and self.key == "valid" and self.operation != "rude"

    @property
    def left(self) -> bool:
        """Whether the client hung up on purpose."""
        return self.error == "disconnected"

    @property
    def accepted(self) -> bool:
        """Whether the answer shows that admission was passed."""
        return self.product and self.status not in (0, 401, 403, 408, 413, *REFUSALS)


@dataclass(frozen=True, slots=True)
class Scrape:
    """One reading of ``/metrics``: series by name and labels."""

    at_s: float
    series: Mapping[str, float]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all series of this name with these labels."""
        wanted = [f"{label}={value}" for label, value in labels.items()]
        found = 0.0
        for series, value in self.series.items():
            base, _, rest = series.partition("{")
            if base == name and all(one in rest.rstrip("}").split(",") for one in wanted):
                found += value
        return found


@dataclass(frozen=True, slots=True)
class Recorded:
    """All of a run: requests by their start, scrapes, and the monotonic moment that counts as zero."""

    requests: Sequence[Record]
    scrapes: Sequence[Scrape]
    zero_s: float
    wall_s: float = 0.0

    @property
    def ended_s(self) -> float:
        """When the last answer came."""
        return max((record.ended_s for record in self.requests), default=0.0)


def read_records(folder: Path) -> Recorded:
    """Read ``requests-*.jsonl`` of a directory.

    Raises:
        LoadError: when there is none, or a line is no record.
    """
    files = sorted(folder.glob("requests-*.jsonl"))
    if not files:
        raise LoadError("directory", str(folder), "one with requests-*.jsonl, as a load run leaves it")
    lines: list[dict[str, Any]] = []
    offset_s: float | None = None
    wall_s = 0.0
    for path in files:
        shift_s = 0.0
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                line = json.loads(text)
            except ValueError:
                raise LoadError(f"{path.name} line {number}", text[:60], "a JSON object") from None
            if line.get("type") == "header":
                # Workers of other machines have clocks of their own: their walls are compared.
                own_s = line["wall_s"] - line["mono_s"]
                offset_s, wall_s = (own_s, line["wall_s"]) if offset_s is None else (offset_s, wall_s)
                shift_s = own_s - offset_s if abs(own_s - offset_s) > 0.05 else 0.0
                continue
            line["at_s"] += shift_s
            line["began_s"] = line.get("began_s", line["at_s"]) + shift_s
            lines.append(line)
    return _arranged(lines, wall_s)


def _arranged(lines: Iterable[dict[str, Any]], wall_s: float) -> Recorded:
    ordered = sorted(lines, key=lambda line: line["at_s"])
    zero_s = ordered[0]["at_s"] if ordered else 0.0
    requests, scrapes = [], []
    known = set(Record.__slots__)
    for line in ordered:
        at_s = line["at_s"] - zero_s
        if line.get("type") == "metrics":
            scrapes.append(Scrape(at_s, line["series"]))
            continue
        own = known - {"at_s", "began_s", "value"}
        rest = {name: value for name, value in line.items() if name in own}
        extra = {name: value for name, value in line.items() if name not in known}
        requests.append(Record(at_s=at_s, began_s=line["began_s"] - zero_s, value=extra, **rest))
    return Recorded(requests, scrapes, zero_s, wall_s)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of all do not exceed (nearest rank, unrounded); NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]
