"""Misconfigured deployments: what preflight refuses, what the service refuses at its start and at a reload."""

from __future__ import annotations

import asyncio
import functools
import json
import signal
import sys
from collections.abc import Mapping
from typing import Any

from hardening.runs.phases import OnPhase, Run, no_phase
from hardening.runs.runner import observed
from hardening.worlds.live.processes import Child, free_port, until
from hardening.worlds.live.world import LiveWorld
from hardening.worlds.shared.downstreams import NAMES
from hardening.worlds.spec import RunContext, WorldSpec, merge

CHECK_S_MAX = 30.0
REFUSAL_S_MAX = 10.0
NONSENSE = -3
"""Failures in a row to open a breaker: none can be minus three."""


async def run_deployments(context: RunContext, on_phase: OnPhase = no_phase) -> Run:
    """Check good and bad configurations from outside; record a probe for each."""
    # Preflight looks for the budget of the whole machine, so the wall of a container is not needed to break it.
    world = LiveWorld(WorldSpec(context, "deployment"))
    checks = _Checks(world)

    async def body() -> None:
        try:
            await world.prepare()
            on_phase("preflight")
            await checks.preflight()
            on_phase("refused at start")
            await checks.refused_at_start()
            on_phase("refused at reload")
            await checks.refused_at_reload()
            await world.service.stop()
            await world.settle()
        finally:
            await world.close()

    return await observed(world, body)


class _Checks:
    def __init__(self, world: LiveWorld) -> None:
        self.world = world

    def _probe(self, **value: Any) -> None:
        self.world.recorder.add(self.world.now(), "harness", "state", "probe", value)

    async def preflight(self) -> None:
        """The sound configuration, each fault alone, and two at once."""
        nowhere = {"downstreams": {"ticker": {"url": f"http://127.0.0.1:{free_port()}"}}}
        cases: dict[str, tuple[Mapping[str, Any], int]] = {
            "sound": ({}, 0),
            "missing_secret": ({"service_token": ""}, 1),
            "default_secret": ({"service_token": "changeme"}, 1),
            "debug": ({"debug": True}, 1),
            "wildcard_cors": ({"cors_origins": ["*"]}, 1),
            "unreachable": (nowhere, 1),
            "budget": ({"budgets": {"memory_mb": 1_048_576}}, 1),
            "two_faults": ({"debug": True, "cors_origins": ["*"]}, 2),
        }
        for case, (changes, faults) in cases.items():
            await self._preflight(case, changes, faults)
        await self.world.redis.command("CONFIG", "SET", "appendfsync", "everysec")
        await self._preflight("volatile_store", {}, 1)
        await self.world.redis.command("CONFIG", "SET", "appendfsync", "always")

    async def _preflight(self, case: str, changes: Mapping[str, Any], faults: int) -> None:
        settings = merge(self.world.settings, {"environment": "production", **changes})
        code, lines = await self._service(f"preflight-{case}", ["preflight", "--json"], settings)
        problems = json.loads("\n".join(lines) or "{}").get("problems", [])
        self._probe(probe="preflight", case=case, exit_code=code, lines=problems, faults=faults)

    async def _service(self, name: str, words: list[str], settings: Mapping[str, Any]) -> tuple[int | None, list[str]]:
        """Run ``python -m signal_service`` (sabotaged if need be) on a configuration; its exit code and its lines."""
        config = self.world.run.path / f"{name}.json"
        config.write_text(json.dumps(settings), encoding="utf-8")
        mutant = self.world.spec.context.sabotage
        sabotage = ["--sabotage", mutant] if mutant else []
        argv = [
            sys.executable,
            "-m",
            "hardening.worlds.live.launcher",
            *sabotage,
            "--",
            *words,
            "--config",
            str(config),
        ]
        child = Child(name, argv, self.world.run)
        await child.start()
        # A service that should have refused and listens has answered the question as well.
        listening = '"phase":"listening"'
        await until(lambda: not child.running() or any(listening in line for line in child.tail), CHECK_S_MAX)
        code = await child.stop(12)
        return code, [line for line in child.tail if not line.startswith('{"')]

    async def refused_at_start(self) -> None:
        """Nonsense in each breaker: the service must not start, and name the field."""

        async def one(name: str) -> None:
            field = f"downstreams.{name}.breaker.failures"
            settings = merge(self.world.settings, _nonsense(name))
            code, lines = await self._service(f"start-{name}", ["--port", "0"], settings)
            line = next((line for line in lines if field in line), lines[-1] if lines else "")
            self._probe(probe="refused_setting", field=field, when="start", refused=code not in {0, None}, line=line)

        for name in NAMES:
            await one(name)

    async def refused_at_reload(self) -> None:
        """The same while it runs: the old configuration stays."""
        service = self.world.service
        await service.start()
        for name in NAMES:
            field = f"downstreams.{name}.breaker.failures"
            before = len(self._reloads())
            service.write_config(merge(service.settings, _nonsense(name)))
            await service.signal(signal.SIGHUP)
            outcome = functools.partial(self._outcome_of, field, before)
            await until(lambda outcome=outcome: outcome() is not None, REFUSAL_S_MAX)  # type: ignore[misc]
            last = outcome() or next(iter(self._reloads()[before:][-1:]), {})
            line = f"{last.get('field', '')}: {last.get('error', '')}"
            refused = last.get("outcome") == "refused"
            self._probe(probe="refused_setting", field=field, when="reload", refused=refused, line=line)
            await asyncio.sleep(0)

    def _outcome_of(self, field: str, before: int) -> Mapping[str, Any] | None:
        """The outcome that names ``field``: signal and watch both reload, so an earlier one may be reported late."""
        return next((value for value in self._reloads()[before:] if value.get("field") == field), None)

    def _reloads(self) -> list[Mapping[str, Any]]:
        return [e.value for e in self.world.recorder.history().states("reload") if e.value["outcome"] != "unchanged"]


def _nonsense(name: str) -> dict[str, Any]:
    return {"downstreams": {name: {"breaker": {"failures": NONSENSE}}}}
