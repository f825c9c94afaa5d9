"""Experiments: what they hold, and that the unmodified Chaos Toolkit validates and runs them."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toolkit import installed

from hardening.faults.catalogue import build
from hardening.faults.network import LinkFault
from hardening.faults.schedule import Schedule, TimedFault
from hardening.sessions.chaos.ingredients import VARIANTS
from hardening.sessions.chaos.session_plan import scenario_of
from hardening.sessions.export.chaostoolkit import experiment
from hardening.sessions.session import Session
from hardening.worlds.live.control import WorldControl
from hardening.worlds.live.world import LiveWorld
from hardening.worlds.spec import RunContext, WorldSpec

ALL = [build({"kind": kind, **variant}) for kind, variants in VARIANTS.items() for variant in variants]


def session_of(*timed: tuple[float, float, dict[str, Any]]) -> Session:
    faults = [TimedFault(at_s, for_s, build(fault)) for at_s, for_s, fault in timed]
    scenario = scenario_of("night", Schedule.of(faults), seed=1, duration_s=8, per_s=4)
    return Session("night", "live", scenario, 1)


def timeline(method: list[dict[str, Any]]) -> list[tuple[float, str]]:
    now_s, found = 0.0, []
    for activity in method:
        now_s += activity.get("pauses", {}).get("before", 0.0)
        found.append((round(now_s, 3), activity["name"]))
    return found


def test_faults_begin_and_end_at_their_times() -> None:
    session = session_of(
        (1.0, 3.0, {"kind": "net_latency", "target": "redis"}), (2.0, 1.0, {"kind": "net_down", "target": "user"})
    )
    told = {name: at_s for at_s, name in timeline(experiment(session, {})["method"])}
    assert told["f0: net_latency on redis"] == 1.0
    assert told["f1: net_down on user"] == 2.0
    assert told["f1: net_down on user, healed"] == 3.0
    assert told["f0: net_latency on redis, healed"] == 4.0
    assert told["the service after the last heal"] == 4.0 + session.scenario.recovery_s


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: f"{fault.kind}-{fault.target}")
def test_every_fault_has_an_action_and_every_broken_link_a_rollback(fault: Any) -> None:
    session = session_of((1.0, 2.0, fault.to_json()))
    made = experiment(session, {"redis": "redis-proxy"})
    actions = [activity for activity in made["method"] if activity["type"] == "action"]
    assert actions[0]["name"] == f"f0: {fault.kind} on {fault.target}"
    if fault.protocol == "link":
        assert len(made["rollbacks"]) == 1
        arguments = {**actions[0]["provider"]["arguments"]}
        proxy = arguments.get("for_proxy") or arguments["proxy_name"]
        assert proxy == ("redis-proxy" if fault.target == "redis" else fault.target)
    else:
        assert made["rollbacks"] == []
        assert build(injected(actions[0])) == fault
    if isinstance(fault, LinkFault):
        assert actions[0]["provider"]["arguments"]["attributes"] == dict(fault.attributes())


def injected(action: dict[str, Any]) -> dict[str, Any]:
    """The fault that the words of a ``hardening faults inject`` stand for."""
    words = shlex.split(action["provider"]["arguments"])
    assert words[:2] == ["faults", "inject"]
    found: dict[str, Any] = {"kind": words[2], "target": words[words.index("--target") + 1]}
    for position, word in enumerate(words):
        if word == "--set":
            name, _, value = words[position + 1].partition("=")
            found[name] = json.loads(value)
    return found


def test_no_key_and_no_address_is_written() -> None:
    made = experiment(session_of((1.0, 1.0, {"kind": "net_down"})), {})
    assert made["configuration"]["service_url"]["type"] == "env"
    assert made["secrets"]["service"]["api_key"] == {"type": "env", "key": "SERVICE_API_KEY"}
    keyed = [probe for probe in made["steady-state-hypothesis"]["probes"] if "headers" in probe["provider"]]
    assert [probe["provider"]["headers"] for probe in keyed] == [{"X-API-Key": "${api_key}"}]


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("toolkit") / "venv")


async def run_toolkit(chaos: Path, world: LiveWorld, words: list[str], folder: Path) -> tuple[int, str]:
    assert world.service.address is not None
    host, port = world.service.address
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {
        "PATH": path,
        "HOME": str(folder),
        "SERVICE_URL": f"http://{host}:{port}",
        "TOXIPROXY_URL": world.links.url,
        "SERVICE_API_KEY": world.secrets.keys["demo"].key,
    }
    process = await asyncio.create_subprocess_exec(
        str(chaos),
        "--no-version-check",
        *words,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.live
@pytest.mark.timeout(420)
def test_the_chaos_toolkit_validates_and_runs_an_exported_session(chaos: Path, tmp_path: Path) -> None:
    """Through both providers: toxics on links, and an injection into the world that runs."""

    async def story() -> None:
        async with LiveWorld(WorldSpec(RunContext(seed=3))) as world, WorldControl(world, world.run):
            links = {name: link.proxy.name for name, link in world.links.by_name.items()}
            session = session_of(
                (0.5, 1.5, {"kind": "net_latency", "target": "redis", "latency_ms": 40}),
                (0.8, 1.0, {"kind": "net_down", "target": "comms"}),
                (1.0, 1.5, {"kind": "redis_client_pause", "pause_ms": 400}),
            )
            made = experiment(session, links)
            for action in made["method"]:
                if action["provider"]["type"] == "process":
                    action["provider"]["arguments"] += f" --world {shlex.quote(str(world.run.path))}"
                action.get("pauses", {}).update({k: min(v, 2.0) for k, v in action.get("pauses", {}).items()})
            (tmp_path / "night.json").write_text(json.dumps(made))
            code, said = await run_toolkit(chaos, world, ["validate", "night.json"], tmp_path)
            assert code == 0, said
            code, said = await run_toolkit(
                chaos, world, ["run", "--rollback-strategy", "always", "night.json"], tmp_path
            )
            assert code == 0, said
            journal = json.loads((tmp_path / "journal.json").read_text())
            assert journal["status"] == "completed", said
            assert journal["steady_states"]["before"]["steady_state_met"]
            assert journal["steady_states"]["after"]["steady_state_met"]
            assert [run["status"] for run in journal["run"]] == ["succeeded"] * len(made["method"]), said
            for link in world.links.by_name.values():
                await link.proxy.refresh()
                assert link.proxy.enabled
                assert await link.proxy.toxics() == []

    asyncio.run(story())


@pytest.mark.live
@pytest.mark.timeout(420)
def test_an_experiment_on_a_service_without_a_steady_state_is_not_run(chaos: Path, tmp_path: Path) -> None:
    async def story() -> None:
        async with LiveWorld(WorldSpec(RunContext(seed=3))) as world:
            made = experiment(session_of((0.5, 1.0, {"kind": "net_down", "target": "comms"})), {})
            made["configuration"]["service_url"] = "http://127.0.0.1:9"
            (tmp_path / "night.json").write_text(json.dumps(made))
            code, _ = await run_toolkit(chaos, world, ["run", "night.json"], tmp_path)
            assert code != 0
            journal = json.loads((tmp_path / "journal.json").read_text())
            assert journal["status"] != "completed"
            assert not journal["steady_states"]["before"]["steady_state_met"]

    asyncio.run(story())
