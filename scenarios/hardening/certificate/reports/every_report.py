"""Every file that is written beside a certificate and follows from it: made in one place, so that it can be made again.

``hardening verify`` renders them anew and compares, hence a report says nothing that is not in the certificate or the
histories, and takes neither time nor chance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hardening.certificate.intoto_result import result_statement
from hardening.certificate.reports.html import render_html
from hardening.certificate.reports.junit import render_junit
from hardening.certificate.reports.markdown import render
from hardening.certificate.reports.sarif import sarif_log
from hardening.claims.claims import COMPONENTS
from hardening.history.events import History


def as_text(value: Mapping[str, Any]) -> str:
    """JSON as every file here is written: sorted, indented, one line end at the end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def every_report(certificate: Mapping[str, Any], histories: Mapping[str, History]) -> dict[str, str]:
    """Text by file name; ``histories`` by the name of their file."""
    return {
        "certificate.md": render(certificate, COMPONENTS),
        "certificate.html": render_html(certificate, histories),
        "test-result.json": as_text(result_statement(certificate)),
        "junit.xml": render_junit(certificate, COMPONENTS),
        "results.sarif": as_text(sarif_log(certificate)),
    }
