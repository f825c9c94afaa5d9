"""Records by which the next run takes back what a killed one did to a Toxiproxy that is not ours."""

from __future__ import annotations

import pytest

from hardening.faults.run_directory import check_undo, undo
from hardening.faults.toxiproxy_undo import undo_record


@pytest.mark.parametrize(
    "record",
    [
        {"undo": "toxiproxy", "url": "file:///etc", "pid": "1"},
        {"undo": "toxiproxy", "url": "http://x", "pid": "1; rm"},
        {"undo": "toxiproxy", "pid": "1"},
        {"undo": "toxiproxy", "url": "http://x"},
    ],
)
def test_a_record_that_names_no_toxiproxy_or_no_run_is_refused(record: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="allowed: write"):
        check_undo(record)


def test_a_toxiproxy_that_is_gone_took_its_toxics_along() -> None:
    assert undo(undo_record("http://127.0.0.1:9", 1, ["redis"])) is False
