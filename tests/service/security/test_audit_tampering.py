"""What was altered, removed, put in or torn in an audit log is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from audit_world import KEY, kinds, lines, write
from hypothesis import given, settings
from hypothesis import strategies as st

from signal_service.security.audit import AuditProblem, main, verify_audit
from signal_service.security.audit_chain import Link, seal, write_head


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.mark.parametrize("gone", [0, 4, 8])
def test_a_removed_record_is_found(path: Path, gone: int) -> None:
    write(path, 10)
    kept = lines(path)
    del kept[gone]
    path.write_bytes(b"\n".join(kept) + b"\n")
    assert "removed" in kinds(path)


@pytest.mark.parametrize("left", [0, 1, 9])
def test_a_cut_off_end_is_found(path: Path, left: int) -> None:
    write(path, 10)
    path.write_bytes(b"".join(line + b"\n" for line in lines(path)[:left]))
    assert kinds(path) == ["truncated"]


def test_a_cut_off_end_stays_found_after_the_service_wrote_on(path: Path) -> None:
    write(path, 10)
    path.write_bytes(b"".join(line + b"\n" for line in lines(path)[:4]))
    write(path, 2)
    assert "removed" in kinds(path)
    told = json.loads(lines(path)[4])
    assert (told["action"], told["outcome"]) == ("audit.recovered", "truncated")
    assert told["fields"] == {"last_seq_found": 4}


@settings(deadline=None)  # it waits for the disk
@given(data=st.data())
def test_any_changed_byte_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    write(path, 4)
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    assert verify_audit(path, KEY)


@settings(deadline=None)
@given(order=st.permutations(range(5)))
def test_any_other_order_is_found(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    write(path, 5)
    written = lines(path)
    path.write_bytes(b"".join(written[index] + b"\n" for index in order))
    assert bool(verify_audit(path, KEY)) == (order != list(range(5)))


def test_without_the_key_no_record_can_be_put_in_its_place(path: Path) -> None:
    write(path, 3)
    assert kinds(path, "another-key-00000000") == [*["altered"] * 3, "unanchored"]
    assert kinds(path, "") == [*["altered"] * 3, "unanchored"]


def test_a_record_forged_with_its_own_hash_is_found_by_the_next_one(path: Path) -> None:
    write(path, 3)
    first, second, third = lines(path)
    forged = json.loads(second)
    del forged["hash"], forged["prev"], forged["seq"]
    forged["outcome"] = "refused"
    line, _ = seal(forged, Link(1, json.loads(first)["hash"]), KEY.encode())
    path.write_bytes(first + b"\n" + line + third + b"\n")
    (problem,) = verify_audit(path, KEY)
    assert problem == AuditProblem("altered", 3, "record 2 is not the one that record 3 refers to")


def test_a_record_copied_to_the_end_is_found(path: Path) -> None:
    write(path, 3)
    path.write_bytes(path.read_bytes() + lines(path)[1] + b"\n")
    assert kinds(path) == ["reordered"]


def test_a_log_that_was_cut_with_a_head_written_to_fit_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head carries a count under the key: who has no key can write none, and none is not intact."""
    monkeypatch.setenv("SIGNAL_AUDIT_KEY", KEY)
    write(path, 3)
    assert main([str(path)]) == 0
    head = path.with_name("audit.jsonl.head")
    first, second, _ = lines(path)
    path.write_bytes(first + b"\n" + second + b"\n")
    assert kinds(path) == ["truncated"]
    link = Link(2, json.loads(second)["hash"])
    for forged in (
        write_head(link, b""),
        write_head(link, b"a guess"),
        b"{}",
        b"",
        head.read_bytes().replace(b"3", b"2", 1),
    ):
        head.write_bytes(forged)
        (problem,) = verify_audit(path, KEY)
        assert (problem.kind, problem.harmless) == ("unanchored", False)
        assert main([str(path)]) == 1


def test_a_log_that_lost_its_head_says_so_in_the_record_that_goes_on(path: Path) -> None:
    write(path, 3)
    path.with_name("audit.jsonl.head").unlink()
    write(path, 1)
    assert kinds(path) == []
    mended = json.loads(lines(path)[3])
    assert (mended["action"], mended["outcome"]) == ("audit.recovered", "unanchored")


def test_a_missing_head_is_told_and_a_missing_file_is_unreadable(path: Path) -> None:
    write(path, 3)
    path.with_name("audit.jsonl.head").unlink()
    assert kinds(path) == ["unanchored"]
    path.unlink()
    assert kinds(path) == ["unreadable"]


@pytest.mark.parametrize("torn", [b'{"seq":4,"ti', b"\x00\x00\x00", b'{"seq":4}'])
def test_a_record_torn_by_a_crash_is_told_and_the_chain_goes_on(path: Path, torn: bytes) -> None:
    write(path, 3)
    with path.open("ab") as file:
        file.write(torn)
    assert kinds(path) == ["torn_tail"]
    write(path, 2)
    (problem,) = verify_audit(path, KEY)
    assert problem == AuditProblem("torn_tail", 4, f"half a record of {len(torn)} bytes, as the next one says")
    assert problem.harmless
    assert [json.loads(line)["action"] for line in lines(path)[4:]] == ["audit.recovered", "reload", "reload"]


def test_a_torn_record_changed_afterwards_is_no_torn_record(path: Path) -> None:
    write(path, 3)
    with path.open("ab") as file:
        file.write(b"half a rec")
    write(path, 1)
    path.write_bytes(path.read_bytes().replace(b"half a rec", b"half a ref"))
    assert kinds(path) == ["altered"]
