"""Sessions as a person has them: from the command line, on real processes, short."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from hardening.claims.claims import judge_all
from hardening.faults.run_directory import sweep
from hardening.sessions.session import Session, stored_history
from hardening.worlds.live.processes import until
from hardening.worlds.live.world import LiveWorld
from hardening.worlds.spec import RunContext, WorldSpec

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

QUICK = {"downstreams": {name: {"breaker": {"open_s": 1.0}} for name in ("ticker", "user", "alert", "comms")}}
TICKER_DOWN = (1.0, 3.0, {"kind": "http_fault", "target": "ticker", "how": "status", "status": 500})
REDIS_READ_ONLY = (1.0, 3.0, {"kind": "redis_read_only"})
USER_CUT = (1.5, 2.0, {"kind": "net_down", "target": "user"})


def written(folder: Path, *faults: tuple[float, float, dict[str, Any]]) -> str:
    path = folder / "mine.json"
    path.write_text(json.dumps([{"at_s": at_s, "for_s": for_s, "fault": fault} for at_s, for_s, fault in faults]))
    return str(path)


def hardening(*words: str, **environment: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "hardening.commands.cli", *words]
    env = {**os.environ, **environment}
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def done(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def the_session(folder: Path) -> tuple[Session, Path]:
    (path,) = sorted(folder.glob("*.json"))
    return Session.load(path), path


def test_a_session_is_watched_judged_and_kept(tmp_path: Path) -> None:
    words = [
        "chaos",
        "--schedule",
        written(tmp_path, TICKER_DOWN, USER_CUT),
        "--seed",
        "3",
        "--out",
        str(tmp_path / "s"),
    ]
    code, out, err = done(hardening(*words))
    session, path = the_session(tmp_path / "s")
    history = stored_history(session, path)
    assert code == 0, out + err
    assert {line.split("phase: ")[1] for line in err.splitlines() if "phase: " in line} >= {
        *("steady", "faults", "healed", "recovery", "quiet", "shutdown"),
    }
    assert "broken: http_fault ticker" in err
    assert all(session.figures["bites"].values())
    again = {verdict.claim: verdict.outcome for verdict in judge_all({"x": history})}
    assert {judged.claim: judged.verdict for judged in session.verdicts} == again
    assert again["C6.4"] == "PASS"


def test_a_broken_service_fails_its_session_is_reproduced_and_shrinks_in_the_simulated_world(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    comms = (1.0, 6.0, {"kind": "http_fault", "target": "comms", "how": "status", "status": 500})
    words = ["chaos", "--schedule", written(tmp_path, comms, USER_CUT), "--seed", "2", "--out", str(folder)]
    code, out, err = done(hardening(*words, "--sabotage", "breaker_never_half_opens"))
    assert code == 1, out + err
    session, path = the_session(folder)
    assert "C6.4" in {judged.claim for judged in session.failures}

    code, out, err = done(hardening("replay", str(path), "--json"))
    told = json.loads(out)
    assert (code, told["reproduced"], told["exact"]) == (1, 1, None), out + err

    words = ["shrink", str(path), "--world", "simulated", "--out", str(folder / "small.json")]
    code, out, err = done(hardening(*words))
    assert code == 0, out + err
    small = Session.load(folder / "small.json")
    assert len(small.scenario.schedule.faults) == 1
    assert len(small.scenario.workload.operations) <= 5
    assert "claim:     C6.4" in out

    code, out, err = done(hardening("replay", str(folder / "small.json"), "--times", "2", "--json"))
    told = json.loads(out)
    assert (code, told["reproduced"], told["exact"]) == (1, 2, True), err


def test_ctrl_c_heals_and_keeps_what_was_seen(tmp_path: Path) -> None:
    long = (1.0, 60.0, {"kind": "redis_killed"})
    process = hardening("chaos", "--schedule", written(tmp_path, long), "--out", str(tmp_path / "s"))
    assert process.stderr is not None
    for line in process.stderr:
        if "broken: redis_killed" in line:
            break
    process.send_signal(signal.SIGINT)
    code, out, _err = done(process)
    session, path = the_session(tmp_path / "s")
    assert code == 4
    assert "stopped by Ctrl-C; everything is healed" in out
    assert session.aborted == "Ctrl-C"
    healed = stored_history(session, path).select("fault", "heal")
    assert [event.value["verified"] for event in healed] == [True]
    assert not psutil.pid_exists(process.pid)


def test_too_many_errors_heal_everything_and_end_the_session(tmp_path: Path) -> None:
    long = (0.5, 60.0, {"kind": "http_fault", "target": "ticker", "how": "status", "status": 500})
    words = ["chaos", "--schedule", written(tmp_path, long), "--rate", "10", "--abort-errors", "0.15"]
    code, out, err = done(hardening(*words, "--out", str(tmp_path / "s")))
    session, path = the_session(tmp_path / "s")
    assert code == 1, out + err
    assert session.aborted.startswith("error rate")
    history = stored_history(session, path)
    (healed,) = history.select("fault", "heal")
    assert healed.t < 40
    assert "quiet" in {event.value["phase"] for event in history.states("phase")}


async def on_staging(world: LiveWorld, *words: str) -> tuple[int, str, str]:
    assert world.service.address is not None
    host, port = world.service.address
    where = ["--target", f"http://{host}:{port}", "--toxiproxy", world.links.url, "--redis", world.redis.url]
    process = hardening("chaos", *where, "--api-key-env", "STAGE", *words, STAGE=world.secrets.keys["demo"].key)
    return await asyncio.to_thread(done, process)


async def assert_whole(world: LiveWorld) -> None:
    for name, link in world.links.by_name.items():
        await link.proxy.refresh()
        assert link.proxy.enabled, name
        assert await link.proxy.toxics() == [], name


def test_a_staging_stack_is_hurt_only_as_it_may_be_and_is_as_before_afterwards(tmp_path: Path) -> None:
    async def story() -> None:
        async with LiveWorld(WorldSpec(RunContext(seed=5), settings=QUICK)) as world:
            late = (1.0, 3.0, {"kind": "net_latency", "target": "redis", "latency_ms": 40})
            schedule = written(tmp_path, late, USER_CUT, REDIS_READ_ONLY)
            code, out, err = await on_staging(world, "--schedule", schedule, "--out", str(tmp_path / "s"))
            session, path = the_session(tmp_path / "s")
            assert code == 0, out + err
            assert session.world == "target"
            bites = session.figures["bites"]
            assert bites["f1 redis_read_only redis"]
            assert bites["f2 net_down user"]
            # Toxiproxy's own metrics know a connection's bytes once it has ended, and a pooled one does not end.
            assert bites["f0 net_latency redis"] or world.links.kind.startswith("real")
            text = path.read_text() + path.with_suffix(".jsonl").read_text()
            assert world.secrets.keys["demo"].key not in text
            assert world.secrets.redis_password not in text
            assert not session.failures
            assert stored_history(session, path).states("leftovers")[-1].value["found"] == []
            await assert_whole(world)
            assert world.service.child.running()

            forbidden = written(tmp_path, (1.0, 1.0, {"kind": "redis_killed"}))
            code, _out, err = await on_staging(world, "--schedule", forbidden)
            assert code == 3
            assert "a Redis whose process is ours" in err

    asyncio.run(story())


def test_what_a_killed_session_did_to_a_staging_stack_is_undone_by_the_next_sweep(tmp_path: Path) -> None:
    async def story() -> None:
        async with LiveWorld(WorldSpec(RunContext(seed=5), settings=QUICK)) as world:
            assert world.service.address is not None
            host, port = world.service.address
            late = (1.0, 60.0, {"kind": "net_latency", "target": "redis", "latency_ms": 30})
            cut = (1.0, 60.0, {"kind": "net_down", "target": "comms"})
            where = ["--target", f"http://{host}:{port}", "--toxiproxy", world.links.url, "--ask", "/health"]
            process = hardening(
                "chaos", *where, "--schedule", written(tmp_path, late, cut), "--out", str(tmp_path / "s")
            )
            links = world.links.by_name

            async def hurt() -> bool:
                await links["comms"].proxy.refresh()
                return not links["comms"].proxy.enabled and bool(await links["redis"].proxy.toxics())

            deadline = asyncio.get_running_loop().time() + 60
            while not await hurt():
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.1)
            process.kill()
            await asyncio.to_thread(process.communicate)
            await asyncio.to_thread(sweep)
            await assert_whole(world)

    asyncio.run(story())


def test_without_a_steady_state_nothing_is_broken(tmp_path: Path) -> None:
    """The service of the target is not there; its Toxiproxy is."""

    async def story() -> None:
        async with LiveWorld(WorldSpec(RunContext(seed=5), settings=QUICK)) as world:
            schedule = written(tmp_path, USER_CUT)
            where = ["--target", "http://127.0.0.1:9", "--toxiproxy", world.links.url]
            process = hardening("chaos", *where, "--schedule", schedule, "--out", str(tmp_path / "s"))
            code, out, _err = await asyncio.to_thread(done, process)
            session, path = the_session(tmp_path / "s")
            assert code == 3
            assert "no steady state: 100%" in out
            assert stored_history(session, path).select("fault", "inject") == []
            await assert_whole(world)

    asyncio.run(story())


def test_the_next_run_finds_nothing(tmp_path: Path) -> None:
    del tmp_path
    asyncio.run(until(lambda: not sweep().killed, 10))
