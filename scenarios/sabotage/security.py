"""Broken secrecy."""

from __future__ import annotations

from scenarios.sabotage.patching import put
from service.security.redaction import Redactor


def exception_texts_unredacted() -> None:
    """Lines are redacted, tracebacks are added after: redaction before formatting."""
    text = Redactor.text

    def lines_only(self: Redactor, whole: str) -> str:
        kept = [line if '"trace":' in line else text(self, line) for line in whole.split("\n")]
        return "\n".join(kept)

    put(Redactor, "text", lines_only)
