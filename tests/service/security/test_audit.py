"""The audit log: nothing lost, nothing interleaved, and whatever was done to it afterwards is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from audit_world import KEY, WALL_S, Events, FailingFiles, PlainFiles, lines, opened, wait_until, write

from signal_service.security import audit
from signal_service.security.audit import AuditLog, verify_audit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


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
from signal_service.security.audit import AuditLog, DiskFiles
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
    monkeypatch.setattr("signal_service.security.audit_files.os.write", lambda fd, data: real(fd, data[:40]))
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
