"""The audit log: nothing lost, nothing interleaved, and whatever was done to it afterwards is found."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.security import audit
from service.security.audit import AuditLog, AuditProblem, DiskFiles, verify_audit
from service.security.audit_chain import Link, seal

KEY = "audit-key-0123456789"
WALL_S = 1763900000.25


class Events:
    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def __call__(self, event: str, /, *, id: str = "", **fields: Any) -> None:  # noqa: A002
        assert event == "audit"
        self.heard.append(fields)


class FailingFiles(DiskFiles):
    """A disk that is full, or tears, when told."""

    def __init__(self) -> None:
        self.full = False

    def append(self, path: Path, data: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(path, data)


class PlainFiles:
    """No more than ``seams.FileStore``: in memory, one writer."""

    def __init__(self) -> None:
        self.content: dict[Path, bytes] = {}

    def append(self, path: Path, data: bytes) -> None:
        self.content[path] = self.content.get(path, b"") + data

    def read(self, path: Path) -> bytes:
        if path not in self.content:
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return self.content[path]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def opened(path: Path, files: Any = None, events: Events | None = None, **options: Any) -> AuditLog:
    return AuditLog(path, files or DiskFiles(), lambda: WALL_S, events or Events(), KEY, **options)


def write(path: Path, count: int, first: int = 0) -> None:
    log = opened(path)
    for number in range(first, first + count):
        assert log.record("reload", "admin:ops", "applied", f"r{number}", number=number)
    assert log.close()


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def kinds(path: Path, key: str = KEY) -> list[str]:
    return [problem.kind for problem in verify_audit(path, key)]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_record_says_when_who_what_outcome_and_request(path: Path) -> None:
    log = opened(path)
    log.record("reload", "admin:ops", "refused", "req-1", field="budgets.in_flight")
    assert log.close()
    (record,) = [json.loads(line) for line in lines(path)]
    assert record == {
        "seq": 1,
        "time": "2025-11-23T12:13:20.250000+00:00",
        "action": "reload",
        "actor": "admin:ops",
        "outcome": "refused",
        "request_id": "req-1",
        "fields": {"field": "budgets.in_flight"},
        "prev": "0" * 64,
        "hash": record["hash"],
    }
    assert verify_audit(path, KEY) == []


def test_records_are_redacted_before_they_are_hashed(path: Path) -> None:
    log = opened(path)
    log.record(
        "auth",
        "alice@example.com",
        "refused",
        password="Hunter2",
        url="redis://:Hunter2@h:1/0",
        deep=[{"a": "Bearer Hunter2abc"}],
    )
    log.close()
    assert b"Hunter2" not in path.read_bytes()
    assert b"alice" not in path.read_bytes()
    assert verify_audit(path, KEY) == []


def test_the_chain_goes_on_after_a_restart(path: Path) -> None:
    write(path, 3)
    write(path, 2, first=3)
    assert [json.loads(line)["seq"] for line in lines(path)] == [1, 2, 3, 4, 5]
    assert verify_audit(path, KEY) == []


def test_concurrent_writers_lose_and_interleave_nothing(path: Path) -> None:
    logs = [opened(path) for _ in range(3)]

    def work(who: int) -> None:
        for number in range(100):
            logs[who % 3].record("auth", f"t{who}", "refused", fields_of="x" * (number * 7), number=number)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(log.close(20) for log in logs)
    assert verify_audit(path, KEY) == []
    records = [json.loads(line) for line in lines(path)]
    assert [record["seq"] for record in records] == list(range(1, 601))
    for who in range(6):
        assert [r["fields"]["number"] for r in records if r["actor"] == f"t{who}"] == list(range(100))


WRITER = """
import sys, time
from pathlib import Path
from service.security.audit import AuditLog, DiskFiles
path, key = Path(sys.argv[1]), "audit-key-0123456789"
log = AuditLog(path, DiskFiles(), time.time, lambda event, /, *, id="", **fields: None, key)
for number in range(150):
    log.record("auth", sys.argv[2], "refused", number=number)
    if number % 10 == 0:
        log.flush(10)
sys.exit(0 if log.close(30) else 1)
"""


@pytest.mark.live
def test_several_processes_share_one_chain(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), f"p{who}"]) for who in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert verify_audit(path, KEY) == []
    records = [json.loads(line) for line in lines(path)]
    assert len(records) == 450
    for who in range(3):
        assert [r["fields"]["number"] for r in records if r["actor"] == f"p{who}"] == list(range(150))


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
    assert kinds(path, "another-key-00000000") == ["altered"] * 3
    assert kinds(path, "") == ["altered"] * 3


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


@pytest.mark.live
def test_a_full_disk_is_counted_alarmed_and_made_up_for_in_order(path: Path) -> None:
    files, events = FailingFiles(), Events()
    log = opened(path, files, events)
    assert log.record("auth", "u", "refused", number=0)
    assert log.flush(5)
    files.full = True
    before = time.monotonic()
    log.record("auth", "u", "refused", number=1)
    assert time.monotonic() - before < 0.25
    wait_until(lambda: not log.healthy)
    assert log.record("auth", "u", "refused", number=2) is False
    assert events.heard[0]["event"] == "failed"
    assert "No space left" in events.heard[0]["reason"]
    assert log.failures >= 1
    files.full = False
    assert log.flush(5)
    assert log.healthy
    assert events.heard[-1] == {"event": "back", "seq": 3}
    assert log.record("auth", "u", "refused", number=3)
    assert log.close()
    assert [json.loads(line)["fields"]["number"] for line in lines(path)] == [0, 1, 2, 3]
    assert verify_audit(path, KEY) == []


@pytest.mark.live
def test_what_waits_for_a_full_disk_is_bounded_and_every_loss_counted(path: Path) -> None:
    files, events = FailingFiles(), Events()
    files.full = True
    log = opened(path, files, events, capacity=5)
    results = [log.record("auth", "u", "refused", number=number) for number in range(20)]
    assert not any(results[5:])
    assert log.waiting == 5
    assert sum(one.get("reason") == "queue full" for one in events.heard) == 15
    before = time.monotonic()
    assert log.close(1.0) is False
    assert time.monotonic() - before < 3
    assert "audit-writer" not in {thread.name for thread in threading.enumerate()}


def test_a_directory_that_is_not_there_fails_like_a_full_disk(tmp_path: Path) -> None:
    events = Events()
    log = opened(tmp_path / "missing" / "audit.jsonl", events=events, background=False)
    assert log.record("auth", "u", "refused") is False
    assert not log.healthy
    assert "No such file" in events.heard[0]["reason"]


def test_a_short_write_leaves_no_half_record(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 2)
    whole = path.read_bytes()
    real = os.write
    monkeypatch.setattr("service.security.audit_files.os.write", lambda fd, data: real(fd, data[:40]))
    events = Events()
    log = opened(path, events=events, background=False)
    assert log.record("auth", "u", "refused") is False
    assert path.read_bytes() == whole
    monkeypatch.undo()
    assert log.record("auth", "u", "refused", again=True)
    assert verify_audit(path, KEY) == []
    assert len(lines(path)) == 4


def test_a_plain_file_store_and_no_thread_will_do() -> None:
    files, path = PlainFiles(), Path("audit.jsonl")
    for number in range(2):
        log = opened(path, files, background=False)
        assert log.record("level", "service", "light", number=number)
        assert log.record("level", "service", "none", number=number)
        assert log.waiting == 0
        log.close()
    assert [problem.kind for problem in verify_audit(path, KEY, files)] == ["unanchored"]
    files.content[path] = files.content[path].replace(b"light", b"heavy")
    assert [p.kind for p in verify_audit(path, KEY, files)] == ["altered", "altered", "unanchored"]


def test_a_huge_record_is_cut_and_an_odd_one_shown_as_text(path: Path) -> None:
    log = opened(path)
    log.record("a", "b", "c", text="x" * 100_000)
    log.record("a", "b", "c", error=ValueError("odd"), nan=float("nan"), path=path, lone="\udcff")
    assert log.close()
    first, second = [json.loads(line) for line in lines(path)]
    assert first["fields"] == {"left_out": "more than 16384 characters"}
    assert second["fields"]["error"] == "odd"
    assert verify_audit(path, KEY) == []


def test_a_closed_log_takes_nothing_and_says_so(path: Path) -> None:
    events = Events()
    log = opened(path, events=events)
    log.close()
    assert log.record("a", "b", "c") is False
    assert events.heard == [{"event": "failed", "reason": "closed", "seq": 0}]


def test_the_command_tells_intact_from_not(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNAL_AUDIT_KEY", KEY)
    write(path, 3)
    assert audit.main([str(path)]) == 0
    path.write_bytes(path.read_bytes().replace(b"applied", b"refused", 1))
    assert audit.main([str(path)]) == 1
    assert capsys.readouterr().out == "intact\nline 1: altered: record 1 does not match its hash\nNOT intact\n"
    assert audit.main([]) == 2


def test_without_a_thread_what_the_disk_refused_is_tried_again_later_by_one_timer(path: Path) -> None:
    files, timers = FailingFiles(), list[tuple[float, Callable[[], None]]]()
    files.full = True
    log = AuditLog(
        path, files, lambda: WALL_S, Events(), KEY, background=False, later=lambda s, act: timers.append((s, act))
    )
    for number in range(3):
        assert log.record("auth", "u", "refused", number=number) is False
    assert len(timers) == 1
    timers.pop()[1]()
    assert [wait_s for wait_s, _ in timers] == [0.1]  # still full: later, after a longer wait
    files.full = False
    timers.pop()[1]()
    assert timers == []
    assert log.healthy
    assert log.waiting == 0
    assert len(lines(path)) == 3
    assert verify_audit(path, KEY) == []
