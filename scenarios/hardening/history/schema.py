"""The event table as a JSON schema: ``python -m hardening.history.schema`` writes ``history.schema.json``.

One record of a history, header or event, is valid under the schema exactly when the reader takes it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hardening.history.events import EVENT_TABLE, FORMAT, FORMAT_VERSION

PATH = Path(__file__).with_name("history.schema.json")
HEADER_REQUIRED = (
    *("type", "format", "version", "world", "settings", "settings_digest"),
    *("seed", "commit", "canaries", "versions", "started_at"),
)


def _header() -> dict[str, Any]:
    text, table = {"type": "string"}, {"type": "object"}
    canary = {
        "type": "object",
        "required": ["name", "kind", "value"],
        "properties": {"name": text, "kind": text, "value": text},
    }
    return {
        "type": "object",
        "required": list(HEADER_REQUIRED),
        "properties": {
            "type": {"const": "header"},
            "format": {"const": FORMAT},
            "version": {"const": FORMAT_VERSION},
            "world": text,
            "scenario": text,
            "settings": table,
            "settings_digest": text,
            "seed": {"type": "integer"},
            "commit": text,
            "canaries": {"type": "array", "items": canary},
            "keep": {"type": "array", "items": text},
            "versions": table,
            "started_at": text,
            "extra": table,
        },
    }


def _event(kind: str, f: str, fields: frozenset[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["t", "process", "type", "f", "value"],
        "properties": {
            "t": {"type": "number"},
            "process": {"type": "string"},
            "type": {"const": kind},
            "f": {"const": f},
            "value": {"type": "object", "required": sorted(fields)},
            "id": {"type": "string"},
        },
    }


def build_schema() -> dict[str, Any]:
    """The schema of one record (one line) of a history."""
    events = [_event(kind, f, fields) for (kind, f), fields in EVENT_TABLE.items()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{FORMAT}, version {FORMAT_VERSION}: one record",
        "oneOf": [_header(), *events],
    }


def main() -> int:
    """Write the file."""
    PATH.write_text(json.dumps(build_schema(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
