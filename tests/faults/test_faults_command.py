"""``hardening faults``: list, describe, inject into a world that runs, clean."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from double_world import DoubleWorld, double_world

from hardening.commands import faults as faults_command
from hardening.commands.faults import faults_group
from hardening.faults.catalogue import CATALOGUE, build
from hardening.faults.run_directory import RunDirectory
from hardening.faults.waiting import wait_until
from hardening.worlds.live.control import WorldControl, inject_into
from hardening.worlds.rpc import RefusedError

JUMP = build({"kind": "clock_jump", "offset_s": 500})
INJECT = "import sys; from hardening.commands.faults import faults_group; faults_group(['inject', *sys.argv[1:]])"


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(faults_group, list(arguments))
    return result.exit_code, result.output


def test_the_list_has_a_line_for_every_kind() -> None:
    code, text = call("list")
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()] == sorted(CATALOGUE)


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_each_kind_is_described_with_an_example_that_is_valid(kind: str) -> None:
    code, text = call("describe", kind, "--json")
    said = json.loads(text)
    assert code == 0
    assert said["kind"] == kind
    assert build(said["example"]["fault"]).kind == kind


def test_a_description_for_a_person_names_every_parameter() -> None:
    code, text = call("describe", "http_fault")
    assert code == 0
    assert all(name in text for name in ("how", "status", "latency_ms", "path_prefix", "targets: ticker, user"))


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["describe", "fire"], "fault.kind is 'fire'"),
        (["inject", "fire"], "fault.kind is 'fire'"),
        (["inject", "clock_jump", "--for", "soon"], "'soon' is no duration"),
        (["inject", "clock_jump", "--set", "offset_s"], "--set is 'offset_s'"),
        (["inject", "clock_jump", "--set", "speed=2"], "fault.speed is 2"),
        (["inject", "clock_jump", "--target", "moon"], "fault.target is 'moon'"),
        (["inject", "clock_jump", "--world", "/nowhere"], "--world is '/nowhere'"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments: list[str], names: str) -> None:
    code, text = call(*arguments)
    assert code == 2
    assert names in text
    assert "Traceback" not in text


def test_without_a_world_it_says_how_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults_command, "default_root", lambda: tmp_path)
    code, text = call("inject", "clock_jump")
    assert code == 2
    assert "hardening serve" in text


def test_where_several_worlds_run_it_lists_them_and_asks_which(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults_command, "default_root", lambda: short_path)
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(RunDirectory(short_path)) for _ in range(2)]
        for run in runs:
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(str(run.path / "control"))
            listening.listen()
        code, text = call("inject", "clock_jump")
        assert code == 2
        assert "choose one by --world" in text
        assert all(f"{run.path} (pid {os.getpid()}: " in text for run in runs)


@pytest.mark.live
@pytest.mark.asyncio
@pytest.mark.parametrize("as_json", [False, True])
async def test_it_names_the_world_that_it_hurts(short_path: Path, as_json: bool) -> None:
    async with double_world(short_path) as world, WorldControl(world, world.run):
        argv = [sys.executable, "-c", INJECT, "clock_jump", "--for", "10ms", *(["--json"] if as_json else [])]
        argv += ["--world", str(world.run.path)]
        process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        first = out.decode().splitlines()[0]
        if as_json:
            assert json.loads(first)["world"] == str(world.run.path)
        else:
            assert f"into service of {world.run.path} (pid {os.getpid()}: " in first


@pytest.mark.live
def test_the_socket_of_a_killed_world_is_no_world(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults_command, "default_root", lambda: short_path)
    (short_path / "run-dead").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(short_path / "run-dead" / "control"))
    code, text = call("inject", "clock_jump")
    assert code == 2
    assert "no world runs" in text


def test_clean_says_what_it_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    run = RunDirectory()
    run._lock.close()
    assert call("clean") == (0, f"removed {run.path.name}\n")
    assert list(tmp_path.iterdir()) == []
    assert call("clean") == (0, "nothing was left behind\n")


async def offset(world: DoubleWorld) -> float:
    clock = world.known[("clock", "service")]
    return float(await clock.offset())  # type: ignore[attr-defined]


async def inject(world: DoubleWorld, *arguments: str) -> asyncio.subprocess.Process:
    argv = [sys.executable, "-c", INJECT, *arguments, "--world", str(world.run.path), "--json"]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    return await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, env=env)


@pytest.mark.live
@pytest.mark.asyncio
async def test_a_fault_is_injected_into_a_running_world_healed_and_its_effect_reported(short_path: Path) -> None:
    async with double_world(short_path) as world, WorldControl(world, world.run):
        process = await inject(world, "clock_jump", "--set", "offset_s=500", "--for", "300ms")
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        lines = [json.loads(line) for line in out.splitlines()]
        assert [line["state"] for line in lines] == ["injected", "healed"]
        assert lines[1]["bite"] == {"clock_moved_s": 500}
        assert process.returncode == 0
        assert await offset(world) == 0


@pytest.mark.live
@pytest.mark.asyncio
async def test_a_fault_without_effect_is_exit_3(short_path: Path) -> None:
    async with double_world(short_path) as world, WorldControl(world, world.run):
        process = await inject(world, "dns_failure", "--for", "10ms")
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        assert json.loads(out.splitlines()[-1])["bit"] is False
        assert process.returncode == 3


@pytest.mark.live
@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_ending_the_command_ends_the_fault(short_path: Path, number: int) -> None:
    async with double_world(short_path) as world, WorldControl(world, world.run):
        process = await inject(world, "clock_jump", "--set", "offset_s=500", "--for", "1m")
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 20)
        assert await offset(world) == 500
        process.send_signal(number)
        await asyncio.wait_for(process.wait(), 10)

        async def healed() -> bool:
            return await offset(world) == 0

        assert await wait_until(healed, 5)
        await process.stdout.read()


@pytest.mark.live
@pytest.mark.asyncio
async def test_a_world_that_ends_heals_what_is_injected(short_path: Path) -> None:
    async with double_world(short_path) as world:
        async with WorldControl(world, world.run):
            answers = inject_into(world.run.path, JUMP, 60)
            assert (await anext(answers))["state"] == "injected"
        assert await offset(world) == 0
        await answers.aclose()  # type: ignore[attr-defined]


@pytest.mark.live
@pytest.mark.asyncio
async def test_a_target_that_the_world_lacks_is_refused_in_one_line(short_path: Path) -> None:
    async with double_world(short_path) as world, WorldControl(world, world.run):
        with pytest.raises(match=r"fault\.target is 'redis redis', allowed: .*clock service") as caught:
            async for _ in inject_into(world.run.path, build({"kind": "redis_killed"}), 1):
                pass
        assert caught.value.kind == "unsupported"
        process = await inject(world, "redis_killed", "--for", "10ms")
        out, _ = await asyncio.wait_for(process.communicate(), 20)
        assert out == b""
        assert process.returncode == 3


class Ending:
    """A service whose end and new start the test decides."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    @property
    def child(self) -> Ending:
        return self

    async def wait(self, timeout_s: float | None) -> int:
        assert timeout_s is None
        await self.ended.wait()
        return 0

    def running(self) -> bool:
        return not self.ended.is_set()


@pytest.mark.live
@pytest.mark.asyncio
async def test_a_service_that_a_fault_ends_and_the_heal_starts_again_has_not_ended(short_path: Path) -> None:
    async with double_world(short_path) as world, WorldControl(world, world.run) as control:
        service = Ending()
        waiting = asyncio.ensure_future(control.until_ended(service))  # type: ignore[arg-type]
        answers = inject_into(world.run.path, JUMP, 60)
        await anext(answers)
        service.ended.set()
        await asyncio.sleep(0)
        service.ended.clear()
        await answers.aclose()  # type: ignore[attr-defined]
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        service.ended.set()
        assert await asyncio.wait_for(waiting, 5) == 0


@pytest.mark.live
@pytest.mark.asyncio
async def test_a_service_that_ends_by_itself_has_ended_at_once(short_path: Path) -> None:
    async with double_world(short_path) as world, WorldControl(world, world.run) as control:
        service = Ending()
        service.ended.set()
        assert await asyncio.wait_for(control.until_ended(service), 5) == 0  # type: ignore[arg-type]


@pytest.mark.live
@pytest.mark.asyncio
@pytest.mark.parametrize("line", ["[]", "{", '{"fault": {"kind": "clock_jump"}, "for_s": "long"}', ""])
async def test_nonsense_at_the_door_is_answered_and_the_world_lives_on(short_path: Path, line: str) -> None:
    async with double_world(short_path) as world, WorldControl(world, world.run):
        reader, writer = await asyncio.open_unix_connection(world.run.path / "control")
        writer.write(line.encode() + b"\n")
        assert "error" in json.loads(await asyncio.wait_for(reader.readline(), 5))
        writer.close()
        await writer.wait_closed()
        assert await offset(world) == 0


@pytest.mark.live
@pytest.mark.asyncio
async def test_two_of_a_kind_on_one_target_are_refused_and_the_first_holds(short_path: Path) -> None:
    async with double_world(short_path) as world, WorldControl(world, world.run):
        first = inject_into(world.run.path, JUMP, 60)
        await anext(first)
        with pytest.raises(match="one at a time on service") as caught:
            await anext(inject_into(world.run.path, JUMP, 60))
        assert caught.value.kind == "usage"
        assert await offset(world) == 500
        await first.aclose()  # type: ignore[attr-defined]

        async def again() -> bool:
            try:
                states = [str(answer["state"]) async for answer in inject_into(world.run.path, JUMP, 0)]
            except RefusedError:
                return False
            return states == ["injected", "healed"]

        assert await wait_until(again, 5)


@pytest.mark.live
@pytest.mark.asyncio
async def test_a_world_that_dies_while_it_holds_a_fault_is_said_and_exit_4(short_path: Path) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"state": "injected"}\n')
        writer.close()

    async with await asyncio.start_unix_server(die, short_path / "control"):
        argv = [sys.executable, "-c", INJECT, "redis_killed", "--world", str(short_path)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe)
        _, said = await asyncio.wait_for(process.communicate(), 20)
        assert b"ended before it said that redis_killed is healed; 'hardening faults clean'" in said
        assert process.returncode == 4
