"""When the store waited for its disk, as Valkey's latency monitor tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from hardening.faults.run_directory import RunDirectory
from hardening.worlds.live import valkey
from hardening.worlds.live.valkey import ValkeyServer


class Told(ValkeyServer):
    """A server that says what a test makes it say."""

    async def command(self, *words: str | bytes | int) -> Any:
        if words[-1] == "aof-fsync-always":
            return [[1000, 1200], [1003, 70]]
        if words[-1] == "aof-write-alone":
            return [[999, 60]]
        raise RedisConnectionError("it went away")


@pytest.mark.asyncio
async def test_each_wait_lies_between_the_earliest_begin_and_the_end_of_the_second_it_was_noted_in(
    tmp_path: Path,
) -> None:
    with RunDirectory() as run:
        found = await Told(run).disk_waits()
    assert found == [(998.8, 1001.0, 1200), (998.94, 1000.0, 60), (1002.93, 1004.0, 70)]


@pytest.mark.live
@pytest.mark.asyncio
async def test_a_real_server_tells_of_every_sync_that_was_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sync is: the least wait is set to a millisecond, and writes go on until one took that long."""
    monkeypatch.setattr(valkey, "DISK_WAIT_MS_MIN", 1)
    with RunDirectory() as run:
        server = ValkeyServer(run)
        await server.start()
        try:
            await server.watch_disk()
            for _ in range(3000):
                await server.command("SET", "key", b"x" * 200_000)
                if found := await server.disk_waits():
                    break
        finally:
            await server.stop()
    assert all(end - begin >= 1.0 and milliseconds >= 1 for begin, end, milliseconds in found)
    assert found
