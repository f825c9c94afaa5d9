"""The simulated process: signals, stalls, crashes and starts, and what of its work was durable."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest
from simulated_stage import in_world, leftovers, process_states, some_load, statuses

from hardening.catalogue.pieces import schedule
from hardening.catalogue.scenario import Reload, Scenario
from hardening.history.workload import Operation
from hardening.history.workload import alert as posted
from hardening.history.workload import signal as asked
from hardening.runs.runner import spec_of
from hardening.runs.simulated import run_simulated
from hardening.worlds.live.processes import ProcessError
from hardening.worlds.simulated.world import AUDIT, SimWorld
from hardening.worlds.spec import RunContext

LOST = {"appendonly": "no"}


async def accept(world: SimWorld, count: int, prefix: str) -> None:
    for number in range(count):
        answer = await world.client.send(posted(0.0, "AAPL", f"{prefix}-{number}"))
        assert answer is not None
        assert answer[0] == 202


@pytest.mark.parametrize("durable", [True, False])
def test_after_a_kill_of_service_and_redis_what_was_acknowledged_is_delivered_if_redis_kept_it(durable: bool):
    async def body(world: SimWorld) -> None:
        effects = world.downstreams.by_name["alert"].effects
        await world.network.link("alert").set_enabled(False)  # nothing is delivered before the kill
        await accept(world, 6, "kept")
        await world.service.signal(signal.SIGKILL)
        await world.redis.kill()
        assert effects == {}
        await world.network.link("alert").set_enabled(True)
        await world.redis.restart()
        await world.service.start()
        await asyncio.sleep(60.0)
        assert len(effects) == (6 if durable else 0)

    history = in_world(body, durable=durable)
    exits = [e.value["exit_code"] for e in history.states("process", name="service", state="exited")]
    assert exits == [-9, 0]


@pytest.mark.parametrize(("fsync", "kept"), [("always", True), ("everysec", False)])
def test_a_killed_redis_keeps_what_it_wrote_to_disk_before_it_answered(fsync: str, kept: bool):
    async def body(world: SimWorld) -> None:
        world.redis.engine.settings["appendfsync"] = fsync
        await world.redis.command("SET", "mine", "1")
        await world.redis.kill()
        await world.redis.restart()
        assert (await world.redis.command("GET", "mine") == b"1") is kept

    in_world(body)


def test_the_audit_file_outlives_a_kill_and_its_chain_goes_on():
    async def body(world: SimWorld) -> None:
        await world.client.send(Operation(0.0, "admin", "POST", "/admin/reload", "operator", "critical"))
        before = world.files.contents[str(AUDIT)]
        assert before
        await world.service.signal(signal.SIGKILL)
        assert world.files.contents[str(AUDIT)] == before
        await world.service.start()
        await world.client.send(Operation(0.0, "admin", "POST", "/admin/reload", "operator", "critical"))
        assert world.files.contents[str(AUDIT)].startswith(before)
        assert len(world.files.contents[str(AUDIT)]) > len(before)

    in_world(body)


def test_a_stopped_process_answers_nobody_while_redis_and_the_stand_ins_go_on():
    async def body(world: SimWorld) -> None:
        await world.service.signal(signal.SIGSTOP)
        lines = len(world.recorder)
        request = asyncio.create_task(world.client.send(asked(0.0, "AAPL")))
        assert await world.redis.command("PING") in (b"PONG", "PONG")
        await asyncio.sleep(3.0)
        assert not request.done()
        said = [e for e in world.recorder.history().events[lines:] if e.process == "service"]
        assert said == []
        await world.service.signal(signal.SIGCONT)
        answer = await request
        assert answer is not None
        assert answer[0] == 200

    history = in_world(body)
    latencies = [e.value["latency_s"] for e in history.select("ok", "request") if e.value["status"] == 200]
    assert max(latencies) >= 3.0


def test_a_stall_is_lag_of_the_service_and_of_nobody_else():
    async def body(world: SimWorld) -> None:
        loop: Any = world.target("event_loop", "service")
        began_s = world.now()
        stall = asyncio.create_task(loop.stall(0.8))
        await asyncio.sleep(0.1)
        assert world.now() - began_s < 0.2
        assert await world.redis.command("PING") in (b"PONG", "PONG")
        await stall
        assert await loop.lag_ms() == pytest.approx(800.0)
        assert await loop.lag_ms() < 1.0
        await asyncio.sleep(1.0)

    history = in_world(body)
    assert max(e.value["lag_ms"] for e in history.states("loop_lag")) >= 500


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_end_drains_and_ends_with_0(number: int):
    async def body(world: SimWorld) -> None:
        world.downstreams.by_name["ticker"].latency_s = 0.5
        request = asyncio.create_task(world.client.send(asked(0.0, "DRAIN")))
        await asyncio.sleep(0.2)
        await world.service.signal(number)
        answer = await request
        assert answer is not None
        assert answer[0] == 200
        assert await world.service.wait_exit(20.0) == 0

    history = in_world(body)
    assert history.states("drain")[0].value["phase"] == "begin"
    assert leftovers(history) == []


def test_a_second_signal_is_noted_and_cuts_nobody_off():
    async def body(world: SimWorld) -> None:
        world.downstreams.by_name["ticker"].latency_s = 1.5
        request = asyncio.create_task(world.client.send(asked(0.0, "SLOW")))
        await asyncio.sleep(0.2)
        await world.service.signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        await world.service.signal(signal.SIGTERM)
        answer = await request
        assert answer is not None
        assert answer[0] == 200
        assert await world.service.wait_exit(20.0) == 0

    phases = [e.value["phase"] for e in in_world(body).states("drain")]
    assert phases[:2] == ["begin", "again"]


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ({"settings": {"budgets": {"in_flight": -5}}}, 2, "budgets.in_flight"),
        ({"settings": {"service_token": ""}}, 2, "service_token"),
        ({"settings": {"startup": {"total_s": 3.0}}, "absent": ("ticker",)}, 1, "ticker"),
    ],
)
def test_a_start_that_is_refused_ends_with_its_code_and_names_what_is_wrong(
    spec: dict[str, Any], code: int, words: str
):
    async def body(world: SimWorld) -> None:
        with pytest.raises(ProcessError, match=words):
            await world.service.start()
        assert world.service.exit_code == code

    history = in_world(body, start=False, **spec)
    assert process_states(history) == ["started", "exited"]


def test_a_crash_of_the_services_own_code_is_exit_1_with_a_traceback_in_the_history(monkeypatch: pytest.MonkeyPatch):
    async def broken_boot(*_: object) -> int:
        raise ZeroDivisionError("a bug of the service")

    monkeypatch.setattr("hardening.worlds.simulated.service.boot", broken_boot)

    async def body(world: SimWorld) -> None:
        with pytest.raises(ProcessError):
            await world.service.start()
        assert world.service.exit_code == 1

    lines = [e.value["text"] for e in in_world(body, start=False).select("log", "line")]
    assert any("ZeroDivisionError: a bug of the service" in line for line in lines)
    assert any("broken_boot" in line for line in lines)


@pytest.mark.parametrize("by", ["file", "sighup", "admin"])
def test_a_reload_reaches_the_service_by_each_way(by: str):
    async def body(world: SimWorld) -> None:
        world.service.write_config({**world.service.settings, "cache": {"ttl_s": 7.0}})
        if by == "sighup":
            await world.service.signal(signal.SIGHUP)
        elif by == "admin":
            await world.client.send(Operation(0.0, "admin", "POST", "/admin/reload", "operator", "critical"))
        await asyncio.sleep(1.0)
        answer = await world.client.send(Operation(0.0, "admin", path="/admin/config", key="operator"))
        assert answer is not None
        assert '"ttl_s":7.0' in answer[2].decode().replace(" ", "")

    history = in_world(body)
    # The file's watcher sees the new file as well: whoever comes second finds nothing changed.
    assert [e.value["outcome"] for e in history.states("reload")].count("applied") == 1


def test_a_broken_file_is_put_before_a_service_that_runs_and_not_before_one_that_starts():
    restarting = {"kind": "process_signal", "signal": "TERM"}
    scenario = Scenario(
        name="broken-while-starting",
        summary="a broken configuration every 50 ms, and a restart",
        steady=some_load(1.0),
        schedule=schedule((0.5, 0.5, restarting)),
        reloads=tuple(Reload(round(0.1 + i * 0.05, 2), {"budgets": {"in_flight": -5}}, "file") for i in range(60)),
    )
    outcome = run_simulated(scenario, spec_of(scenario, RunContext()))
    assert not outcome.problem
    assert len(outcome.history.states("process", name="service", state="ready")) == 2
    assert outcome.history.states("reload", outcome="refused")


def test_what_is_left_behind_is_found():
    async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def body(world: SimWorld) -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(1000.0), name="forgotten")
        await asyncio.start_server(never, "127.0.0.1", 7000)
        kept.append(await asyncio.open_connection("127.0.0.1", 7000))

    kept: list[Any] = []
    found = leftovers(in_world(body))
    assert "task forgotten" in found
    assert any(item.startswith("connection local->local:7000") for item in found)
    assert "listener local:7000" in found


def test_a_healthy_run_leaves_nothing_and_every_process_ends_well():
    async def body(world: SimWorld) -> None:
        await world.client.run(some_load(2.0))

    history = in_world(body)
    assert leftovers(history) == []
    assert set(statuses(history)) == {200, 202}
    assert json.loads(json.dumps(history.header.to_json()))["world"] == "simulated"
    assert history.states("process", name="service", state="exited")[-1].value["exit_code"] == 0
