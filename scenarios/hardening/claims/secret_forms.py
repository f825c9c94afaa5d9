"""Where a planted secret would show: its encodings, its pieces, and the search for them in recorded texts. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

OWN_PIECE_MIN = 12
"""A piece of one of the service's own secrets counts from this length on."""

SPLIT_PIECE_MIN = 6
"""Below that a field is no piece of a secret that was split over fields."""


def _base64_cores(data: bytes) -> Iterable[str]:
    """What base64 text of anything that contains ``data`` must contain, for each of the three alignments."""
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + data)
        begin = -(-shift * 8 // 6)
        usable = (shift + len(data)) * 8 // 6
        core = coded[begin:usable].decode()
        if len(core) >= OWN_PIECE_MIN:
            yield core
            yield core.translate(str.maketrans("+/", "-_"))


def forms(value: str, kind: str) -> list[str]:
    """Every text that would give the secret away, the plain one first.

    Args:
        value: the secret.
        kind: what it is; kinds that begin with ``own`` (the service's own secrets) count in pieces too, and a
            ``card`` counts with blanks or hyphens between its groups of four.
    """
    found = [value, quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1]]
    found += [form.lower() for form in found[1:4]]
    found.append(json.dumps(json.dumps(value))[3:-3])
    found.append("".join(f"%{byte:02X}" for byte in value.encode()))
    found.append("".join(f"%{byte:02x}" for byte in value.encode()))
    found += _base64_cores(value.encode())
    if kind.startswith("own"):
        found += [value[i : i + OWN_PIECE_MIN] for i in range(len(value) - OWN_PIECE_MIN + 1)]
    digits = re.sub(r"\D", "", value)
    if "card" in kind and digits:
        groups = [digits[i : i + 4] for i in range(0, len(digits), 4)]
        found += [digits, " ".join(groups), "-".join(groups)]
    return list(dict.fromkeys(form for form in found if form))


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def split_over_fields(text: str, value: str) -> bool:
    """True when the strings of a JSON line, put together in order, spell out the value."""
    begin = value[:SPLIT_PIECE_MIN]
    escaped = (json.dumps(begin)[1:-1], json.dumps(begin, ensure_ascii=False)[1:-1])
    if not any(form in text for form in escaped):
        return False
    try:
        record = json.loads(text)
    except ValueError:
        return False
    return value in "".join(_strings(record))
