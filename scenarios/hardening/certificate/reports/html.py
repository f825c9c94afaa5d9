"""The certificate as one self-contained page: no request leaves it, and nothing that was recorded can break out of it.

Text reaches the page through Jinja's autoescaping alone. The content security policy admits the page's own style sheet
and script by their digests and nothing else, so that even an escape that failed could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Template
from markupsafe import Markup

from hardening.certificate.reports.figures_shown import figures_shown
from hardening.certificate.reports.history_svg import effect_in_words
from hardening.certificate.reports.page_view import STANDINGS, anchor, page_view
from hardening.history.events import History

HERE = Path(__file__).parent


def render_html(certificate: Mapping[str, Any], histories: Mapping[str, History]) -> str:
    """The page of a certificate; the same arguments give the same text.

    Args:
        certificate: the in-toto Statement, as ``certificate.json`` holds it.
        histories: what was recorded, by the name of the file; one that is missing is listed without its timeline.
    """
    style, script = _own("page.css"), _own("page.js")
    return _template().render(
        view=page_view(certificate, histories),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        policy=policy(style, script),
    )


def policy(style: str, script: str) -> str:
    """A content security policy under which this style sheet and this script are all there is."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _own(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=ChainableUndefined,  # certificates of older versions lack fields; what is missing is empty
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"STANDINGS": STANDINGS, "effect_in_words": effect_in_words, "figures_shown": figures_shown}
    environment.filters |= {"ms": _milliseconds, "rest": _rest, "anchor": anchor}
    return environment.get_template("page.html.jinja")


def _rest(mapping: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in names}


def _milliseconds(latency_s: float | None) -> str:
    if latency_s is None:
        return "none"
    return f"{latency_s * 1000:.1f} ms" if latency_s < 1 else f"{latency_s:.2f} s"
