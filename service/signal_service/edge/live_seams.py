"""The live world's side of the seams: real resources, files, signals, sockets."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import httpcore
import psutil
from watchfiles import awatch

from signal_service.edge import container
from signal_service.seams import EmitEvent, Reading, ResourceSampler, Seams
from signal_service.security.audit import DiskFiles
from signal_service.store.redis_link import open_redis


def memory_bytes() -> int:
    """Memory that there is: the container's limit, or the machine's."""
    total = int(psutil.virtual_memory().total)
    return min(container.memory_limit_bytes() or total, total)


def cpu_limit() -> float:
    """Cores that this process may use: the container's quota or what the machine has."""
    cores = float(len(psutil.Process().cpu_affinity() or [0]))
    return min(container.cores_limit() or cores, cores)


def resource_sampler() -> ResourceSampler:
    """Reads this process; CPU since the last reading."""
    process = psutil.Process()
    limit_bytes = container.memory_limit_bytes()

    def sample() -> Reading:
        with process.oneshot():
            return Reading(process.memory_info().rss, limit_bytes, process.cpu_percent() / 100, process.num_fds())

    return sample


async def watch(path: Path, changed: Callable[[], None]) -> None:
    """Call back when the file changed; the directory is watched, for a replaced file is another file."""

    def ours(_: object, name: str) -> bool:
        return Path(name).name == path.name

    async for _ in awatch(path.parent, watch_filter=ours, recursive=False, debounce=200, step=50, rust_timeout=1000):
        changed()


def on_signal(number: int, handle: Callable[[], None]) -> Callable[[], None]:
    """Handle a signal on the loop. Taken away, the signal is ignored: a late one must not kill a drained process."""
    loop = asyncio.get_running_loop()

    def caught(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(handle)

    signal.signal(number, caught)

    def remove() -> None:
        signal.signal(number, signal.SIG_IGN)

    return remove


def live_seams(emit: EmitEvent) -> Seams:
    """The real world."""
    return Seams(
        emit=emit,
        sample=resource_sampler(),
        files=DiskFiles(),
        watch=watch,
        on_signal=on_signal,
        redis=open_redis,
        network=httpcore.AnyIOBackend,
        sleep=asyncio.sleep,
    )
