"""The walls around this process: memory and processor limits of its control group, version 1 or 2.

A container sees its own group at the root of the mount; a systemd unit or a nested group sees it further down, where
``/proc/self/cgroup`` says. Every level up to the root may set a limit, and the narrowest is the one that bites.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
NO_LIMIT_BYTES = 1 << 60
"""cgroup v1 says "none" with a number near 2**63."""


def memory_limit_bytes(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int | None:
    """Bytes that this process and its siblings may use in all; None without a limit."""
    found = [
        int(text)
        for directory, version in _groups("memory", root, membership)
        if (text := _read(directory / ("memory.max" if version == 2 else "memory.limit_in_bytes"))).isdigit()
    ]
    return min((limit for limit in found if 0 < limit < NO_LIMIT_BYTES), default=None)


def cores_limit(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float | None:
    """Cores' worth of processor time that this process and its siblings may use; None without a quota."""
    found = []
    for directory, version in _groups("cpu", root, membership):
        if version == 2:
            text = _read(directory / "cpu.max")
        else:
            text = f"{_read(directory / 'cpu.cfs_quota_us')} {_read(directory / 'cpu.cfs_period_us')}"
        with contextlib.suppress(ValueError, ZeroDivisionError):
            quota, period = (int(word) for word in text.split())  # "max" and what is not there are no numbers
            if quota > 0:
                found.append(quota / period)
    return min(found, default=None)


def _groups(controller: str, root: Path, membership: Path) -> Iterator[tuple[Path, int]]:
    """The group of this process for a controller and all groups above it, with their version."""
    # The mount's root as well, whatever is said: inside a container the path told is the host's.
    yield root, 2
    yield root / controller, 1
    for line in _read(membership).splitlines():
        _, names, path = line.split(":", 2)
        version = 1 if controller in names.split(",") else 2 if not names else 0
        top = root / controller if version == 1 else root
        relative = PurePosixPath(path.lstrip("/"))
        if version and relative.parts and ".." not in relative.parts:
            yield from ((top / part, version) for part in (relative, *relative.parents))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return ""
