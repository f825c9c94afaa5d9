"""What a killed run leaves behind is found and undone; what is not ours is never touched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hardening.faults import run_directory
from hardening.faults.base import FaultError
from hardening.faults.run_directory import RunDirectory, check_undo, sweep
from hardening.worlds.live.cgroup import ControlGroup


def abandon(run: RunDirectory) -> None:
    """What the end of a process does to its run directory: the lock goes, the rest stays."""
    run._lock.close()


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "cgroup"
    root.mkdir()
    monkeypatch.setattr(run_directory, "CONTROL_GROUPS", root)
    return root


def group_v2(root: Path, *members: int) -> Path:
    group = root / "svc"
    group.mkdir()
    (group / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in members))
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("1000000\n")
    (group / "memory.events").write_text("low 0\nmax 2\noom 0\n")
    (group / "cpu.max").write_text("max 100000\n")
    (group / "cpu.stat").write_text("usage_usec 5\nnr_throttled 1\n")
    return group


def proc(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "proc" / str(os.getpid())
    folder.mkdir(parents=True)
    (folder / "cgroup").write_text(text)
    return tmp_path / "proc"


def test_a_lowered_limit_of_a_killed_run_is_set_back_by_the_sweep(tmp_path: Path, groups: Path) -> None:
    group = group_v2(groups, os.getpid())
    run = RunDirectory(tmp_path / "runs")
    ControlGroup(group, 2, os.getpid()).lower_memory(4096, run)
    assert (group / "memory.max").read_text() == "1004096"
    abandon(run)
    cleaned = sweep(tmp_path / "runs")
    assert (group / "memory.max").read_text() == "max"
    assert len(cleaned.undone) == 1
    assert cleaned.directories == (run.path.name,)
    assert not run.path.exists()


def test_a_sweep_that_meets_a_directory_before_its_lock_takes_nothing_from_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[str] = []

    def made_and_swept(prefix: str, dir: Path) -> str:  # noqa: A002 - the name that tempfile gives it
        path = dir / f"{prefix}{len(swept)}"
        path.mkdir()
        swept.append(path.name)
        if len(swept) < 3:
            assert sweep(dir).directories == (path.name,)
        return str(path)

    monkeypatch.setattr("tempfile.mkdtemp", made_and_swept)
    with RunDirectory(tmp_path / "runs") as run:
        assert run.path.name == "run-2"
        assert sweep(tmp_path / "runs").directories == ()
        assert run.path.is_dir()


def test_a_live_runs_limit_is_left_alone(tmp_path: Path, groups: Path) -> None:
    group = group_v2(groups, os.getpid())
    with RunDirectory(tmp_path / "runs") as run:
        ControlGroup(group, 2, os.getpid()).lower_memory(4096, run)
        assert sweep(tmp_path / "runs").directories == ()
        assert (group / "memory.max").read_text() == "1004096"


def test_a_healed_limit_leaves_no_undo_record_and_says_how_often_it_was_hit(tmp_path: Path, groups: Path) -> None:
    group = group_v2(groups, os.getpid())
    with RunDirectory(tmp_path / "runs") as run:
        lowered = ControlGroup(group, 2, os.getpid()).lower_memory(4096, run)
        (group / "memory.events").write_text("low 0\nmax 7\noom 1\n")
        assert lowered.release() == 6
        assert (group / "memory.max").read_text() == "max"
        assert not list(run.path.glob("undo-*"))


def test_the_quota_of_either_version_is_lowered(tmp_path: Path, groups: Path) -> None:
    group = group_v2(groups, os.getpid())
    (group / "cpu.cfs_quota_us").write_text("-1\n")
    with RunDirectory(tmp_path / "runs") as run:
        ControlGroup(group, 2, os.getpid()).lower_cpu(0.2, run)
        ControlGroup(group, 1, os.getpid()).lower_cpu(0.2, run)
    assert (group / "cpu.max").read_text() == "20000 100000"
    assert (group / "cpu.cfs_quota_us").read_text() == "20000"


def test_a_group_shared_with_others_is_refused(tmp_path: Path, groups: Path) -> None:
    group_v2(groups, os.getpid(), 1)
    with pytest.raises(FaultError, match="alone in its control group"):
        ControlGroup.of(os.getpid(), "memory", groups, proc(tmp_path, "0::/svc\n"))


def test_a_group_of_its_own_is_found_in_version_2(tmp_path: Path, groups: Path) -> None:
    group = group_v2(groups, os.getpid())
    found = ControlGroup.of(os.getpid(), "memory", groups, proc(tmp_path, "1:name=systemd:/x\n0::/svc\n"))
    assert (found.directory, found.version) == (group, 2)


def test_a_group_of_its_own_is_found_in_version_1(tmp_path: Path, groups: Path) -> None:
    group = groups / "memory" / "svc"
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    found = ControlGroup.of(os.getpid(), "memory", groups, proc(tmp_path, "4:memory:/svc\n0::/\n"))
    assert (found.directory, found.version) == (group, 1)


def test_a_process_without_a_group_is_refused(tmp_path: Path, groups: Path) -> None:
    with pytest.raises(FaultError, match="control group with the memory controller"):
        ControlGroup.of(os.getpid(), "memory", groups, proc(tmp_path, "0::/nowhere\n"))


@pytest.mark.parametrize(
    "record",
    [
        {"undo": "write", "path": "/etc/passwd", "text": ""},
        {"undo": "write", "path": "/sys/fs/cgroup/../../../etc/passwd", "text": ""},
        {"undo": "netns", "name": "somebody-elses"},
        {"undo": "remove", "path": "/"},
        {},
    ],
)
def test_an_undo_record_beyond_what_faults_change_is_refused(record: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="undo is"):
        check_undo(record)
    with RunDirectory(tmp_path) as run, pytest.raises(ValueError, match="undo is"):
        run.undo_later(record)


def test_a_forged_or_torn_record_in_a_dead_run_harms_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    run = RunDirectory(tmp_path / "runs")
    forged = {"undo": "write", "path": str(victim), "text": "overwritten"}
    (run.path / "undo-1.json").write_text(json.dumps(forged))
    (run.path / "undo-2.json").write_text('{"undo": "wri')
    (run.path / "undo-3.json").write_text("[1]")
    abandon(run)
    assert sweep(tmp_path / "runs").undone == ()
    assert victim.read_text() == "untouched"
    assert not run.path.exists()
