"""Every file that is written beside a certificate and follows from it alone and from its histories.

In come the certificate and the histories, out comes the text of each file by its name. ``hardening verify`` makes them
again and compares, so a report takes neither time nor chance. A report is a file of this folder and a row of
``REPORTS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from hardening.certificate.intoto_result import result_statement
from hardening.certificate.reports.html import render_html
from hardening.certificate.reports.junit import render_junit
from hardening.certificate.reports.markdown import render
from hardening.certificate.reports.sarif import sarif_log
from hardening.history.events import History

Report = Callable[[Mapping[str, Any], Mapping[str, History]], str]


def as_text(value: Mapping[str, Any]) -> str:
    """JSON as every file here is written: sorted, indented, one line end at the end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


REPORTS: Mapping[str, Report] = MappingProxyType(
    {
        "certificate.md": lambda certificate, _: render(certificate),
        "certificate.html": render_html,
        "test-result.json": lambda certificate, _: as_text(result_statement(certificate)),
        "junit.xml": lambda certificate, _: render_junit(certificate),
        "results.sarif": lambda certificate, _: as_text(sarif_log(certificate)),
    }
)
"""Each report by the name of its file."""


def every_report(certificate: Mapping[str, Any], histories: Mapping[str, History]) -> dict[str, str]:
    """Text by file name; ``histories`` by the name of their file."""
    return {name: report(certificate, histories) for name, report in REPORTS.items()}
