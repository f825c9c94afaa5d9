"""A partition between two hosts in network namespaces: packets vanish, and pass again afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hardening.faults.base import UnsupportedTargetError
from hardening.faults.partition import NetworkPartition
from hardening.faults.run_directory import RunDirectory, sweep
from hardening.faults.schedule import Injection
from hardening.faults.waiting import wait_until
from hardening.worlds.live.namespaces import ADDRESSES, PartedHosts
from hardening.worlds.live.processes import Child

PORT = 7000
SERVE = f"""
import socket
server = socket.create_server(("0.0.0.0", {PORT}))
while True:
    connection, _ = server.accept()
    connection.sendall(b"hi")
    connection.close()
"""
CALL = f"""
import socket, sys
try:
    print(socket.create_connection((sys.argv[1], {PORT}), 0.5).recv(9))
except OSError as error:
    print(type(error).__name__)
"""


class World:
    def __init__(self, hosts: PartedHosts) -> None:
        self._hosts = hosts

    def target(self, protocol: str, name: str) -> object:
        if (protocol, name) != ("hosts", "hosts"):
            raise UnsupportedTargetError("fault.target", name, "hosts")
        return self._hosts


@contextlib.asynccontextmanager
async def hosts_of(run: RunDirectory) -> AsyncIterator[PartedHosts]:
    hosts = PartedHosts(run)
    try:
        await hosts.__aenter__()
    except UnsupportedTargetError as error:
        pytest.skip(f"no network namespaces here: allowed is {error.allowed}")
    try:
        yield hosts
    finally:
        await hosts.__aexit__()


async def call(hosts: PartedHosts) -> str:
    argv = hosts.inside("left", [sys.executable, "-S", "-c", CALL, ADDRESSES["right"][0]])
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 10)
    return out.decode().strip()


def namespaces() -> str:
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


@pytest.mark.live
@pytest.mark.asyncio
async def test_packets_vanish_between_parted_hosts_and_pass_when_they_are_joined(short_path: Path) -> None:
    with RunDirectory(short_path) as run:
        async with hosts_of(run) as hosts:
            server = Child("right", hosts.inside("right", [sys.executable, "-S", "-c", SERVE]), run)
            await server.start()
            try:

                async def reachable() -> bool:
                    return await call(hosts) == "b'hi'"

                assert await wait_until(reachable, 10)
                injection = Injection(NetworkPartition(), World(hosts))
                async with injection:
                    assert await call(hosts) == "TimeoutError"
                assert await call(hosts) == "b'hi'"
            finally:
                await server.stop(2)
            name = hosts.name("router")
        assert name not in namespaces()
        assert not list(run.path.glob("undo-*"))
    assert injection.effect is not None
    assert injection.effect.counts["packets_lost"] >= 1


@pytest.mark.live
@pytest.mark.asyncio
async def test_a_partition_that_nobody_sent_across_did_not_bite(short_path: Path) -> None:
    with RunDirectory(short_path) as run:
        async with hosts_of(run) as hosts:
            injection = Injection(NetworkPartition(), World(hosts))
            async with injection:
                pass
    assert injection.effect is not None
    assert not injection.effect.effective


@pytest.mark.live
@pytest.mark.asyncio
@pytest.mark.skipif(shutil.which("ip") is None, reason="no command 'ip' here")
async def test_namespaces_of_a_killed_run_are_removed_by_the_sweep(short_path: Path) -> None:
    run = RunDirectory(short_path)
    async with hosts_of(run) as hosts:
        name = hosts.name("left")
        assert name in namespaces()
        run._lock.close()
        assert len(sweep(short_path).undone) == 3
        assert name not in namespaces()


@pytest.mark.asyncio
async def test_without_root_it_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with RunDirectory(tmp_path) as run:
        with pytest.raises(UnsupportedTargetError, match="allowed: root and the command 'ip'"):
            await PartedHosts(run).__aenter__()
        assert not list(run.path.glob("undo-*"))
