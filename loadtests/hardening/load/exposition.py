"""Reads Prometheus' text format, as far as a load run needs it: text in, numbers by series out; pure."""

from __future__ import annotations

import re

_LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\S+)?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse(text: str) -> dict[str, float]:
    """Series by ``name{label=value,...}`` (labels in alphabetical order), histogram buckets left out.

    A line that is none of the format's is left out too: what is missing later shows as missing.
    """
    series: dict[str, float] = {}
    for line in text.splitlines():
        if not line or line[0] == "#" or "_bucket{" in line or "_created" in line:
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        name, labels, value = found.groups()
        inner = ",".join(f"{label}={one}" for label, one in sorted(_LABEL.findall(labels or "")))
        try:
            series[f"{name}{{{inner}}}" if inner else name] = float(value)
        except ValueError:
            continue
    return series


def total(series: dict[str, float], family: str, **labels: str) -> float | None:
    """Sum over the series of a family that carry these labels; ``None`` when there is none."""
    wanted = [f"{name}={value}" for name, value in labels.items()]
    found = [
        value
        for name, value in series.items()
        if name.partition("{")[0] == family
        and all(one in name.partition("{")[2].rstrip("}").split(",") for one in wanted)
    ]
    return sum(found) if found else None
