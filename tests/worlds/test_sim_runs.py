"""Runs of the simulated world as wholes: the same in every process, found, shrunk, replayed, and leaving no memory."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from simulated_search import small
from simulated_stage import in_world, some_load

from hardening.catalogue.scenario import Scenario
from hardening.claims.claims import select
from hardening.faults.schedule import Schedule, run_schedule
from hardening.history.workload import Workload, signal
from hardening.runs.runner import run_live, spec_of
from hardening.runs.simulated import Simulation, explore_scenario, run_simulated
from hardening.simulator.core.choices import Choices
from hardening.simulator.core.plan import Plan
from hardening.simulator.search.run import run_once
from hardening.simulator.search.sandbox import sandbox
from hardening.worlds.simulated.world import SimWorld
from hardening.worlds.spec import RunContext

ROOT = Path(__file__).parents[2]
SEARCH = Path(__file__).with_name("simulated_search.py")


def elsewhere(*words: str, hash_seed: str = "0") -> dict[str, Any]:
    """Run the search or the replay in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, str(SEARCH), *words], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


def test_the_same_run_gives_the_same_trace_and_bytes_in_another_process_under_another_hash_seed():
    first, second = elsewhere("replay", hash_seed="1"), elsewhere("replay", hash_seed="4242")
    assert first == second
    assert first["problem"] == ""


def test_a_planted_bug_is_found_shrunk_to_few_decisions_and_replays_elsewhere():
    found = elsewhere("search", "permit_kept_on_cancellation", hash_seed="7")
    assert found["claim"] == "C2.1"
    assert found["decisions"] <= 4
    assert found["repeats"]
    plan = json.dumps(found["plan"])
    again = elsewhere("replay", "permit_kept_on_cancellation", plan, hash_seed="8")
    assert again["verdicts"]["C2.1"] == "FAIL"
    assert again["trace"] == found["plan"]["digest"]
    healthy = elsewhere("replay", "", plan)
    assert healthy["verdicts"]["C2.1"] != "FAIL"


def test_no_schedule_of_a_sound_service_raises_an_alarm():
    scenario = small()
    report = explore_scenario(Simulation(scenario, spec_of(scenario, RunContext(5, "test"))), runs=6, seed=2)
    assert report.counterexample is None, report.counterexample.exception
    assert report.runs == 6
    assert report.lost == ()


def test_runs_leave_nothing_in_memory():
    scenario = small()
    simulation = Simulation(scenario, spec_of(scenario, RunContext(5, "test")), claims=("C2.1",))
    counts = []
    with sandbox(Plan().bounds) as box:
        for _ in range(3):
            for _ in range(2):
                run_once(simulation, Choices(Plan()), Plan().bounds, box)
            simulation.run = None
            gc.collect()
            counts.append(len(gc.get_objects()))
    # One kept service is tens of thousands of objects; a cache that still fills is some tens.
    assert counts[2] - counts[1] < 1000, counts


def test_idle_hours_cost_next_to_nothing_and_faults_in_them_take_place():
    took: list[float] = []

    async def body(world: SimWorld) -> None:
        schedule = [
            {"at_s": 1800.0, "for_s": 5.0, "fault": {"kind": "redis_killed"}},
            {"at_s": 3000.0, "for_s": 5.0, "fault": {"kind": "network_partition", "target": "ticker"}},
        ]
        async with asyncio.TaskGroup() as group:
            group.create_task(run_schedule(Schedule.from_json(schedule), world))
            group.create_task(world.client.run(Workload.of([signal(i * 300.0 + 1.0, f"H{i}") for i in range(13)])))
        took.append(world.now())

    history = in_world(body)
    assert took[0] > 3600.0
    served = [event for event in history.select("ok", "request") if event.value["status"] == 200]
    assert len(served) == 13
    assert all(heal.value["bit"] for heal in history.select("fault", "heal") if heal.value["kind"] == "redis_killed")


def test_while_the_services_clock_is_off_redis_and_the_stand_ins_keep_true_time():
    async def body(world: SimWorld) -> None:
        clock: Any = world.target("clock", "service")
        await world.client.send(signal(0.0, "AAPL"))
        await world.redis.command("SET", "mine", "1", "EX", 100)
        await clock.jump(3600.0)
        assert await clock.offset() == 3600.0
        assert world.machines.wall() - world.machines.true_wall() == pytest.approx(3600.0)
        assert int(await world.redis.command("TTL", "mine")) in (99, 100)
        await asyncio.sleep(2.0)
        await world.client.send(signal(0.0, "AAPL"))
        await clock.drift(2.0)
        await asyncio.sleep(10.0)
        assert await clock.offset() == pytest.approx(10.0)
        assert int(await world.redis.command("TTL", "mine")) in range(86, 90)
        await clock.jump(0.0)
        # What runs on no machine of the service sees the truth as well.
        assert time.time() == pytest.approx(world.machines.true_wall())

    history = in_world(body)
    stamps = [json.loads(e.value["text"])["ts"] for e in history.select("log", "line") if '"ts"' in e.value["text"]]
    assert any(stamp.startswith("2026-01-01T01:00") for stamp in stamps)
    sources = [e.value["source"] for e in history.select("ok", "request") if "source" in e.value]
    assert sources == ["ticker", "cache"]


def test_a_full_log_disk_and_a_blocked_reader_hold_nobody_up():
    async def body(world: SimWorld) -> None:
        files: Any = world.target("files", "service")
        for where in ("logs", "log_reader"):
            before = len(world.recorder.history().select("log", "line"))
            await files.fill(where)
            answer = await world.client.send(signal(0.0, where.upper().replace("_", "")))
            assert answer is not None
            assert answer[0] == 200
            await asyncio.sleep(0.05)  # the writer's thread looks every 20 ms
            stdout = [e for e in world.recorder.history().select("log", "line")[before:] if e.process == "service"]
            assert stdout == []
            await files.drain(where)
            assert await files.refused(where) > 0
            await asyncio.sleep(0.1)
        await world.client.run(some_load(0.5))

    texts = [e.value["text"] for e in in_world(body).select("log", "line") if e.process == "service"]
    assert any("log records were dropped" in text for text in texts)


# --- one vocabulary, two worlds ------------------------------------------------------------------------------------

BOTH = Scenario(
    name="both",
    summary="the same in either world",
    steady=Workload.of(signal(0.2 * i, f"A{i % 3}") for i in range(6)),
    workload=some_load(2.5, per_s=8.0),
    schedule=Schedule.from_json([{"at_s": 0.5, "for_s": 1.0, "fault": {"kind": "redis_killed"}}]),
)

ONLY_LIVE: frozenset[tuple[str, str]] = frozenset()
ONLY_SIMULATED: frozenset[tuple[str, str]] = frozenset()
BY_CHANCE = frozenset({("state", "loop_lag"), ("state", "level"), ("state", "metrics_mode"), ("state", "attempt")})
"""A busy machine lags, and a kill may meet a command of the outbox or none; a simulated machine is never busy."""


@pytest.mark.live
def test_one_scenario_gives_the_same_verdicts_and_kinds_of_events_in_both_worlds():
    context = RunContext(3, "test")
    simulated = run_simulated(BOTH, spec_of(BOTH, context))
    live = asyncio.run(run_live(BOTH, context))
    assert (simulated.problem, live.problem) == ("", "")
    claims = select(["C1", "C2", "C4", "C5", "C6"])
    from hardening.claims.claims import judge_all

    verdicts = {v.claim: v.outcome.value for v in judge_all({"both": live.history}, claims)}
    assert {v.claim: v.outcome.value for v in simulated.verdicts if v.claim in claims} == verdicts

    def kinds(history: Any) -> set[tuple[str, str]]:
        return {(event.type, event.f) for event in history.events} - BY_CHANCE

    assert kinds(live.history) - kinds(simulated.history) == ONLY_LIVE
    assert kinds(simulated.history) - kinds(live.history) == ONLY_SIMULATED
