"""Broken secrecy."""

from __future__ import annotations

import re

from scenarios.sabotage.patching import put
from service.security.redaction import Redactor


def exception_texts_unredacted() -> None:
    """Lines are redacted, tracebacks are added after: redaction before formatting."""
    text = Redactor.text

    def lines_only(self: Redactor, whole: str) -> str:
        kept = [line if '"trace":' in line else text(self, line) for line in whole.split("\n")]
        return "\n".join(kept)

    put(Redactor, "text", lines_only)


def redaction_backtracks() -> None:
    """One pattern without a bound: linear on every line one thinks of, quadratic on the one that comes."""
    text = Redactor.text
    addresses = re.compile(r"(?:\w@)+\.example")

    def slowly(self: Redactor, whole: str) -> str:
        # Of a longer line the first part is enough: unbounded, one line would take hours.
        addresses.search(whole[:60_000])
        return text(self, whole)

    put(Redactor, "text", slowly)
