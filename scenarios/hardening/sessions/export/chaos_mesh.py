"""A session as manifests of Chaos Mesh: one Workflow that runs every fault at its time, or one manifest a fault.

Pods are found by a label whose value is the name of what is hurt (``service``, ``redis``, ``ticker`` ...). What has
no counterpart in a cluster is named in comments at the top and in ``missing``, never passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from hardening.faults.base import Fault
from hardening.faults.schedule import TimedFault
from hardening.sessions.export.chaostoolkit import Exported
from hardening.sessions.session import Session

API = "chaos-mesh.org/v1alpha1"
ENTRY = "the-session"
NAME_MAX = 60
NETEM_BUFFER_BYTES = 10_000
NETEM_LIMIT_BYTES = 20_971_520

_FIELDS: Mapping[str, str] = {
    "NetworkChaos": "networkChaos",
    "PodChaos": "podChaos",
    "StressChaos": "stressChaos",
    "TimeChaos": "timeChaos",
    "DNSChaos": "dnsChaos",
    "HTTPChaos": "httpChaos",
}
"""Where a Workflow's template holds the specification of a kind."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where things are in the cluster.

    Attributes:
        namespace: of the pods.
        label: of the pods; its value is the name of what is hurt.
        port: of the downstreams' HTTP.
    """

    namespace: str = "default"
    label: str = "app.kubernetes.io/name"
    port: int = 80


@dataclass(frozen=True, slots=True)
class Counterpart:
    """One fault in Chaos Mesh: the kind of its manifest, the specification, and what is not quite the same."""

    kind: str
    spec: Mapping[str, Any]
    but: str = ""


def selector(cluster: Cluster, name: str) -> dict[str, Any]:
    """Every pod of one name."""
    return {
        "mode": "all",
        "selector": {"namespaces": [cluster.namespace], "labelSelectors": {cluster.label: name}},
    }


def _network(cluster: Cluster, fault: Any, action: str, **more: Any) -> Counterpart:
    """Between the service and what the link leads to; downstream bytes come from there."""
    directions = {"downstream": "from", "upstream": "to"}
    spec = {
        "action": action,
        **selector(cluster, "service"),
        "direction": directions.get(getattr(fault, "stream", ""), "both"),
        "target": selector(cluster, fault.target),
        **more,
    }
    partial = getattr(fault, "toxicity", 1.0) < 1
    return Counterpart("NetworkChaos", spec, "it hits every connection, not a share of them" if partial else "")


def _percent(share: float) -> str:
    return f"{share * 100:g}"


def _pod(cluster: Cluster, name: str, action: str, but: str = "", **more: Any) -> Counterpart:
    return Counterpart("PodChaos", {"action": action, **selector(cluster, name), **more}, but)


def _signal(cluster: Cluster, fault: Any) -> Counterpart | None:
    if fault.second:
        return None
    late = "" if fault.moment == "immediately" else f"the moment {fault.moment} is not waited for"
    if fault.signal == "KILL":
        return _pod(cluster, fault.target, "container-kill", late, containerNames=[fault.target])
    if fault.signal in {"TERM", "INT"}:
        return _pod(cluster, fault.target, "pod-kill", late, gracePeriod=30)
    return None


def _stress(cluster: Cluster, name: str, **stressors: Any) -> Counterpart:
    return Counterpart("StressChaos", {**selector(cluster, name), "stressors": stressors})


def _memory(cluster: Cluster, fault: Any) -> Counterpart | None:
    if fault.means in {"cgroup", "rlimit_as"}:
        return None
    return _stress(cluster, fault.target, memory={"workers": 1, "size": f"{round(fault.held_mb)}MB"})


def _cpu(cluster: Cluster, fault: Any) -> Counterpart | None:
    if fault.means == "cgroup":
        return None
    workers = max(1, round(fault.share))
    load = min(100, round(fault.share / workers * 100))
    return _stress(cluster, fault.target, cpu={"workers": workers, "load": load})


def _http(cluster: Cluster, name: str, **more: Any) -> Counterpart:
    spec = {**selector(cluster, name), "target": "Response", "port": cluster.port, **more}
    return Counterpart("HTTPChaos", spec)


def _http_fault(cluster: Cluster, fault: Any) -> Counterpart | None:
    where = {"path": f"{fault.path_prefix}*" if fault.path_prefix else "*"}
    if fault.how == "status":
        return _http(cluster, fault.target, **where, replace={"code": fault.status})
    if fault.how == "latency":
        return _http(cluster, fault.target, **where, delay=f"{fault.latency_ms:g}ms")
    if fault.how == "reset":
        return _http(cluster, fault.target, **where, abort=True)
    return None


def _http_error(cluster: Cluster, fault: Any) -> Counterpart | None:
    if fault.body or fault.headers or fault.times or fault.path:
        return None
    method = {"method": fault.method} if fault.method else {}
    return _http(cluster, fault.target, path="*", **method, replace={"code": fault.status})


def _dns(cluster: Cluster, fault: Any) -> Counterpart | None:
    if fault.how == "slow":
        return None
    spec = {"action": "error", **selector(cluster, "service"), "patterns": [f"{fault.target}*"]}
    return Counterpart("DNSChaos", spec)


def _bandwidth(cluster: Cluster, fault: Any) -> Counterpart:
    if fault.rate_kb_per_s == 0:
        return _network(cluster, fault, "partition")
    limits = {"rate": f"{fault.rate_kb_per_s}kbps", "limit": NETEM_LIMIT_BYTES, "buffer": NETEM_BUFFER_BYTES}
    return _network(cluster, fault, "bandwidth", bandwidth=limits)


def _timeout(cluster: Cluster, fault: Any) -> Counterpart | None:
    return None if fault.timeout_ms else _network(cluster, fault, "partition")


def _jump(cluster: Cluster, fault: Any) -> Counterpart:
    spec = {**selector(cluster, fault.target), "timeOffset": f"{fault.offset_s:g}s", "clockIds": ["CLOCK_REALTIME"]}
    return Counterpart("TimeChaos", spec)


COUNTERPARTS: Mapping[str, Callable[[Cluster, Any], Counterpart | None]] = {
    "net_latency": lambda c, f: _network(
        c, f, "delay", delay={"latency": f"{f.latency_ms}ms", "jitter": f"{f.jitter_ms}ms"}
    ),
    "net_loss": lambda c, f: _network(c, f, "loss", loss={"loss": _percent(f.probability)}),
    "net_corrupt": lambda c, f: _network(c, f, "corrupt", corrupt={"corrupt": _percent(f.probability)}),
    "net_bandwidth": _bandwidth,
    "net_timeout": _timeout,
    "net_down": lambda c, f: _network(c, f, "partition"),
    "network_partition": lambda c, f: _network(c, f, "partition"),
    "redis_killed": lambda c, _f: _pod(c, "redis", "container-kill", containerNames=["redis"]),
    "redis_shutdown": lambda c, _f: _pod(c, "redis", "pod-kill", gracePeriod=30),
    "redis_restarted": lambda c, _f: _pod(c, "redis", "pod-kill", gracePeriod=30),
    "redis_stopped": lambda c, _f: _pod(c, "redis", "pod-failure", "its connections are closed, not left hanging"),
    "process_signal": _signal,
    "memory_pressure": _memory,
    "cpu_pressure": _cpu,
    "noisy_neighbour": lambda c, f: _stress(c, f.target, cpu={"workers": f.processes, "load": 100}),
    "clock_jump": _jump,
    "dns_failure": _dns,
    "http_fault": _http_fault,
    "http_error": _http_error,
}
"""By kind; a kind that is not here, or gives ``None``, has no counterpart in a cluster."""

LASTS = frozenset({"pod-kill", "container-kill"})
"""Actions that are over at once and take no duration."""


def counterpart(fault: Fault, cluster: Cluster) -> Counterpart | None:
    """The fault in Chaos Mesh; ``None`` when there is none."""
    make = COUNTERPARTS.get(fault.kind)
    return make(cluster, fault) if make is not None else None


def export(session: Session, cluster: Cluster, *, apart: bool = False) -> Exported:
    """The manifests as YAML: a Workflow, or (``apart``) one manifest a fault, to be applied by hand."""
    found: list[tuple[int, TimedFault, Counterpart]] = []
    missing: list[str] = []
    notes: list[str] = []
    for number, timed in enumerate(session.scenario.schedule.faults):
        label = f"f{number} {timed.fault.kind} on {timed.fault.target} at {timed.at_s:g} s for {timed.for_s:g} s"
        other = counterpart(timed.fault, cluster)
        if other is None:
            missing.append(f"{label} has no counterpart in Chaos Mesh")
            continue
        found.append((number, timed, other))
        if other.but:
            notes.append(f"{label} is {other.kind}, but {other.but}")
    documents = _apart(session, found, cluster) if apart else [_workflow(session, found, cluster)]
    comments = [f"session {session.name}, exported for Chaos Mesh", *(f"MISSING: {m}" for m in missing), *notes]
    head = "".join(f"# {line}\n" for line in comments)
    text = yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True) if found else ""
    return Exported(head + text, tuple(missing))


def _name(text: str) -> str:
    """A name that a cluster takes: lower case, digits, dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:NAME_MAX].strip("-")


def _duration(spec: Mapping[str, Any], for_s: float) -> dict[str, Any]:
    return dict(spec) if spec.get("action") in LASTS else {**spec, "duration": _seconds(for_s)}


def _seconds(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _apart(
    session: Session, found: list[tuple[int, TimedFault, Counterpart]], cluster: Cluster
) -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": API,
            "kind": other.kind,
            "metadata": {
                "name": _name(f"f{number}-{timed.fault.kind}-{timed.fault.target}"),
                "namespace": cluster.namespace,
                "labels": {"session": _name(session.name)},
            },
            "spec": _duration(other.spec, timed.for_s),
        }
        for number, timed, other in found
    ]


def _workflow(session: Session, found: list[tuple[int, TimedFault, Counterpart]], cluster: Cluster) -> dict[str, Any]:
    """All faults in parallel, each after waiting for its time."""
    templates: list[dict[str, Any]] = []
    lanes: list[str] = []
    for number, timed, other in found:
        fault = _name(f"f{number}-{timed.fault.kind}-{timed.fault.target}")
        steps = [fault]
        if timed.at_s > 0:
            wait = {"name": f"f{number}-wait", "templateType": "Suspend", "deadline": _seconds(timed.at_s)}
            templates.append(wait)
            steps.insert(0, f"f{number}-wait")
        templates.append(
            {
                "name": fault,
                "templateType": other.kind,
                "deadline": _seconds(timed.for_s),
                _FIELDS[other.kind]: dict(other.spec),
            }
        )
        templates.append({"name": f"f{number}", "templateType": "Serial", "children": steps})
        lanes.append(f"f{number}")
    entry = {
        "name": ENTRY,
        "templateType": "Parallel",
        "deadline": _seconds(session.scenario.schedule.last_heal_s + session.scenario.recovery_s),
        "children": lanes,
    }
    return {
        "apiVersion": API,
        "kind": "Workflow",
        "metadata": {"name": _name(session.name), "namespace": cluster.namespace},
        "spec": {"entry": ENTRY, "templates": [entry, *templates]},
    }
