"""Limits of the control group, from trees of files as version 1 and 2 lay them."""

from __future__ import annotations

from pathlib import Path

import pytest

from signal_service.edge import container

NO_LIMIT_V1 = "9223372036854771712"


def tree(root: Path, membership: str, **files: str) -> tuple[Path, Path]:
    """``memory__memory_max="1"`` is the file ``memory/memory.max``, its name's first underscore being the dot."""
    for name, text in files.items():
        *directories, last = name.split("__")
        path = root.joinpath("fs", *directories, last.replace("_", ".", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (root / "fs").mkdir(exist_ok=True)
    (root / "self").write_text(membership)
    return root / "fs", root / "self"


def test_the_narrowest_limit_on_the_way_up_is_the_one_that_bites(tmp_path: Path):
    found = tree(
        tmp_path, "0::/a/b\n", memory_max="max", a__memory_max="300", a__b__memory_max="500", other__memory_max="1"
    )
    assert container.memory_limit_bytes(*found) == 300


def test_version_1_tells_its_groups_by_controller(tmp_path: Path):
    found = tree(
        tmp_path,
        "5:cpu,cpuacct:/x\n4:memory:/y\n0::/\n",
        memory__memory_limit_in_bytes=NO_LIMIT_V1,
        memory__y__memory_limit_in_bytes="1000",
        cpu__x__cpu_cfs_quota_us="150000",
        cpu__x__cpu_cfs_period_us="100000",
    )
    assert container.memory_limit_bytes(*found) == 1000
    assert container.cores_limit(*found) == 1.5


def test_a_container_that_is_told_the_hosts_path_finds_its_limit_at_the_root(tmp_path: Path):
    found = tree(tmp_path, "0::/system.slice/docker-123.scope\n", memory_max="4096", cpu_max="50000 100000")
    assert container.memory_limit_bytes(*found) == 4096
    assert container.cores_limit(*found) == 0.5


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"memory_max": "max", "cpu_max": "max 100000"},
        {
            "memory__memory_limit_in_bytes": NO_LIMIT_V1,
            "cpu__cpu_cfs_quota_us": "-1",
            "cpu__cpu_cfs_period_us": "100000",
        },
        {"memory_max": "nonsense", "cpu_max": "1 2 3"},
    ],
)
def test_no_limit_is_none(tmp_path: Path, files: dict[str, str]):
    found = tree(tmp_path, "0::/../elsewhere\n", **files)
    assert container.memory_limit_bytes(*found) is None
    assert container.cores_limit(*found) is None
