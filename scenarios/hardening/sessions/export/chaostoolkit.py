"""A session as an experiment of the Chaos Toolkit: steady state, method, rollbacks.

Links are hurt through chaostoolkit-toxiproxy, everything else through ``hardening faults inject`` into a running
``hardening serve``. Addresses and the key come from the environment when the experiment runs; none is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hardening.faults.base import Fault
from hardening.faults.network import LinkFault
from hardening.faults.schedule import TimedFault
from hardening.sessions.session import Session

SERVICE_URL = "http://127.0.0.1:8080"
TOXIPROXY_URL = "http://127.0.0.1:8474"
PROBE_TIMEOUT_S = (2, 10)
COMMAND_EXTRA_S = 60
"""Beyond a fault's window, before a ``hardening faults inject`` that does not end is given up."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export gives: a text, and what it could not hold, a line each."""

    text: str
    missing: tuple[str, ...] = ()


def experiment(session: Session, links: Mapping[str, str]) -> dict[str, Any]:
    """The experiment as JSON.

    Args:
        session: which one.
        links: name of the proxy of each link, where it is not the link's own.
    """
    scenario = session.scenario
    summary = scenario.summary or scenario.name
    failed = [f"{judged.claim}: {judged.reason}" for judged in session.failures]
    failure = f" It failed {'; '.join(failed)}." if failed else ""
    return {
        "version": "1.0.0",
        "title": f"{session.name}: the service stays useful",
        "description": f"{summary}. A session of the {session.world} world, seed {session.seed}.{failure}",
        "tags": ["signal-hardening", *sorted({timed.fault.kind for timed in scenario.schedule.faults})],
        "configuration": {
            "service_url": {"type": "env", "key": "SERVICE_URL", "default": SERVICE_URL},
            "toxiproxy_url": {"type": "env", "key": "TOXIPROXY_URL", "default": TOXIPROXY_URL},
        },
        "secrets": {"service": {"api_key": {"type": "env", "key": "SERVICE_API_KEY"}}},
        "steady-state-hypothesis": {
            "title": "The service is alive, ready, and serves its users",
            "probes": [
                _probe("the service is alive", "/health", 200),
                _probe("the service is ready", "/ready", 200),
                *(_probe(f"{path} is served", path, 200, keyed=True) for path in _asked(session)),
            ],
        },
        "method": _method(session, links),
        "rollbacks": _rollbacks(session, links),
    }


def export(session: Session, links: Mapping[str, str]) -> Exported:
    """The experiment as text; the Chaos Toolkit can hold every fault, by one provider or the other."""
    return Exported(json.dumps(experiment(session, links), indent=1) + "\n")


def _asked(session: Session) -> list[str]:
    """One route that users ask for, of those that are asked for in peace."""
    operations = (*session.scenario.steady.operations, *session.scenario.workload.operations)
    plain = (one for one in operations if one.operation == "signal" and one.method == "GET" and one.sends == "valid")
    return [one.path for one in plain if one.disconnect_after_s is None and not one.headers][:1]


def _probe(name: str, path: str, tolerance: int | None, *, keyed: bool = False) -> dict[str, Any]:
    provider: dict[str, Any] = {"type": "http", "url": f"${{service_url}}{path}", "timeout": list(PROBE_TIMEOUT_S)}
    if keyed:
        provider |= {"headers": {"X-API-Key": "${api_key}"}, "secrets": ["service"]}
    probe: dict[str, Any] = {"type": "probe", "name": name, "provider": provider}
    return probe if tolerance is None else {**probe, "tolerance": tolerance}


def _method(session: Session, links: Mapping[str, str]) -> list[dict[str, Any]]:
    """What is done, in order of time; a pause before each brings it to its moment."""
    timeline: list[tuple[float, dict[str, Any]]] = []
    probed = _asked(session)
    for number, timed in enumerate(session.scenario.schedule.faults):
        begin, end = _actions(number, timed, links)
        timeline.append((timed.at_s, begin))
        # Without a tolerance: the journal shows how users fared, and does not end the experiment.
        middle_s = timed.at_s + timed.for_s / 2
        timeline += [(middle_s, _probe(f"f{number}: {path} meanwhile", path, None, keyed=True)) for path in probed]
        if end is not None:
            timeline.append((timed.at_s + timed.for_s, end))
    ordered = sorted(timeline, key=lambda entry: entry[0])
    method, now_s = [], 0.0
    for at_s, activity in ordered:
        pause_s = round(at_s - now_s, 3)
        method.append({**activity, "pauses": {"before": pause_s}} if pause_s > 0 else activity)
        now_s = at_s
    last_s = session.scenario.schedule.last_heal_s
    settle_s = round(max(0.0, last_s - now_s) + session.scenario.recovery_s, 3)
    method.append({**_probe("the service after the last heal", "/ready", None), "pauses": {"before": settle_s}})
    return method


def _actions(number: int, timed: TimedFault, links: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """How a fault begins, and how it ends (``None``: by itself)."""
    fault, label = timed.fault, f"f{number}: {timed.fault.kind} on {timed.fault.target}"
    proxy = links.get(fault.target, fault.target)
    if fault.kind == "net_down":
        return (
            _python(label, "chaostoxi.proxy.actions", "disable_proxy", {"proxy_name": proxy}),
            _python(f"{label}, healed", "chaostoxi.proxy.actions", "enable_proxy", {"proxy_name": proxy}),
        )
    if isinstance(fault, LinkFault):
        toxic = {
            "for_proxy": proxy,
            "toxic_name": _toxic_name(number, fault),
            "toxic_type": fault.toxic,
            "stream": fault.stream,
            "toxicity": fault.toxicity,
            "attributes": dict(fault.attributes()),
        }
        healed = {"for_proxy": proxy, "toxic_name": toxic["toxic_name"]}
        return (
            _python(label, "chaostoxi.toxic.actions", "create_toxic", toxic),
            _python(f"{label}, healed", "chaostoxi.toxic.actions", "delete_toxic", healed),
        )
    return _injection(label, timed), None


def _toxic_name(number: int, fault: LinkFault) -> str:
    return f"hardening-f{number}-{fault.toxic}"


def _python(name: str, module: str, function: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    provider = {"type": "python", "module": module, "func": function, "arguments": dict(arguments)}
    return {"type": "action", "name": name, "provider": provider}


def _injection(name: str, timed: TimedFault) -> dict[str, Any]:
    """``hardening faults inject`` in the background: it holds the fault for its window and heals it itself."""
    words = ["faults", "inject", timed.fault.kind, "--target", timed.fault.target, "--for", f"{timed.for_s:g}s"]
    for field, value in timed.fault.to_json().items():
        if field not in {"kind", "target"} and value is not None:
            words += ["--set", f"{field}={json.dumps(value)}"]
    provider = {
        "type": "process",
        "path": "hardening",
        "arguments": " ".join(map(_quoted, words)),
        "timeout": round(timed.for_s) + COMMAND_EXTRA_S,
    }
    return {"type": "action", "name": name, "background": True, "provider": provider}


def _quoted(word: str) -> str:
    """As a shell reads it: the toolkit splits the arguments of a process by a shell's rules."""
    plain = all(sign.isalnum() or sign in "-_=./:%+," for sign in word)
    return word if word and plain else "'" + word.replace("'", "'\"'\"'") + "'"


def _rollbacks(session: Session, links: Mapping[str, str]) -> list[dict[str, Any]]:
    """Whatever happened, each fault is healed; healing what is whole does no harm."""
    found: list[dict[str, Any]] = []
    for number, timed in enumerate(session.scenario.schedule.faults):
        fault: Fault = timed.fault
        if fault.protocol == "link":
            _, end = _actions(number, timed, links)
            assert end is not None
            found.append({**end, "name": f"rollback of f{number}: {fault.kind} on {fault.target}"})
    return found
