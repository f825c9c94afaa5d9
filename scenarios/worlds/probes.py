"""Special observations of the live world, recorded as ``state / probe`` (shapes: docs/HISTORY.md)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from scenarios.judge.workload import Operation

if TYPE_CHECKING:
    from scenarios.worlds.live import LiveWorld


async def probe_ready(world: LiveWorld) -> dict[str, Any]:
    """Ask ``/ready`` as the operator and record what it says."""
    answer = await world.client.send(Operation(0, "ready", "GET", "/ready", "operator", "critical"))
    data: dict[str, Any] = {}
    if answer is not None:
        try:
            parsed = json.loads(answer[2])
            data = parsed if isinstance(parsed, dict) else {}
        except ValueError:
            data = {}
    value = {"probe": "ready", "status": answer[0] if answer else 0, **data}
    value.setdefault("ready", False)
    world.recorder.add(world.now(), "harness", "state", "probe", value)
    return value


async def probe_metrics(world: LiveWorld) -> dict[str, float]:
    """Scrape ``/metrics`` as the operator and record every counter and gauge by ``name{labels}``."""
    answer = await world.client.send(Operation(0, "metrics", "GET", "/metrics", "operator", "critical"))
    if answer is None or answer[0] != 200:
        return {}
    counters: dict[str, float] = {}
    text = answer[2].decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            if not sample.name.endswith("_bucket"):
                counters[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    world.recorder.add(world.now(), "harness", "state", "probe", {"probe": "metrics", "counters": counters})
    world.recorder.add(world.now(), "service", "log", "line", {"surface": "metrics", "text": text})
    return counters


async def probe_after_end(world: LiveWorld) -> None:
    """What can be seen once the service has ended: its audit log, line by line, and whether its chain holds."""
    from service.security.audit import verify_audit  # noqa: PLC0415 - the service's own verifier, only here

    if not world.audit_path.exists():
        return
    lines = world.audit_path.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        world.recorder.add(world.now(), "service", "log", "line", {"surface": "audit", "text": line})
    problems = [str(problem) for problem in verify_audit(world.audit_path)]
    value = {"probe": "audit_chain", "intact": not problems, "records": len(lines), "problems": problems[:5]}
    world.recorder.add(world.now(), "harness", "state", "probe", value)
