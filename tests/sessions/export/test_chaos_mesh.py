"""Manifests for a cluster: valid by Chaos Mesh's own definitions, every fault there or named as missing."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from crd import schema
from jsonschema import Draft202012Validator

from hardening.catalogue.scenario import Scenario
from hardening.faults.catalogue import CATALOGUE, build
from hardening.faults.schedule import Schedule, TimedFault
from hardening.sessions.chaos.ingredients import VARIANTS
from hardening.sessions.export.chaos_mesh import COUNTERPARTS, Cluster, counterpart, export
from hardening.sessions.session import Session

CLUSTER = Cluster("staging", "app", 8080)
ALL = [build({"kind": kind, **variant}) for kind, variants in VARIANTS.items() for variant in variants]
MAPPED = [fault for fault in ALL if counterpart(fault, CLUSTER) is not None]


def session_of(*faults: Any) -> Session:
    timed = [TimedFault(float(number), 2.5, fault) for number, fault in enumerate(faults)]
    return Session("Night_1", "live", Scenario("x", "some faults", schedule=Schedule.of(timed)), 1)


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def body(fault: dict[str, Any]) -> dict[str, Any]:
    found = counterpart(build(fault), CLUSTER)
    assert found is not None
    return {"kind": found.kind, **found.spec}


@pytest.mark.live
@pytest.mark.timeout(180)
def test_each_manifest_is_valid_by_the_definitions_of_chaos_mesh() -> None:
    found = documents(export(session_of(*MAPPED), CLUSTER, apart=True).text)
    assert len(found) == len(MAPPED)
    for manifest in found:
        Draft202012Validator(schema(manifest["kind"])).validate(manifest)


@pytest.mark.live
@pytest.mark.timeout(180)
def test_the_workflow_is_valid_by_the_definitions_of_chaos_mesh() -> None:
    (workflow,) = documents(export(session_of(*MAPPED), CLUSTER).text)
    Draft202012Validator(schema("Workflow")).validate(workflow)


def test_every_fault_is_there_or_named_as_missing() -> None:
    done = export(session_of(*ALL), CLUSTER, apart=True)
    assert len(documents(done.text)) + len(done.missing) == len(ALL)
    for line in done.missing:
        assert f"# MISSING: {line}\n" in done.text


def test_kinds_with_a_counterpart_are_kinds_that_exist() -> None:
    assert set(COUNTERPARTS) <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            {"kind": "net_latency", "target": "redis", "latency_ms": 90, "jitter_ms": 5},
            {
                "kind": "NetworkChaos",
                "action": "delay",
                "direction": "from",
                "delay": {"latency": "90ms", "jitter": "5ms"},
            },
        ),
        (
            {"kind": "net_loss", "target": "user", "probability": 0.125, "stream": "upstream"},
            {"kind": "NetworkChaos", "action": "loss", "direction": "to", "loss": {"loss": "12.5"}},
        ),
        ({"kind": "net_down", "target": "comms"}, {"kind": "NetworkChaos", "action": "partition", "direction": "both"}),
        (
            {"kind": "redis_killed"},
            {"kind": "PodChaos", "action": "container-kill", "containerNames": ["redis"]},
        ),
        ({"kind": "process_signal", "signal": "TERM"}, {"kind": "PodChaos", "action": "pod-kill", "gracePeriod": 30}),
        (
            {"kind": "memory_pressure", "held_mb": 430.0},
            {"kind": "StressChaos", "stressors": {"memory": {"workers": 1, "size": "430MB"}}},
        ),
        (
            {"kind": "cpu_pressure", "share": 1.5},
            {"kind": "StressChaos", "stressors": {"cpu": {"workers": 2, "load": 75}}},
        ),
        (
            {"kind": "clock_jump", "offset_s": -86400.0},
            {"kind": "TimeChaos", "timeOffset": "-86400s", "clockIds": ["CLOCK_REALTIME"]},
        ),
        ({"kind": "dns_failure", "target": "comms"}, {"kind": "DNSChaos", "action": "error", "patterns": ["comms*"]}),
        (
            {"kind": "http_fault", "target": "ticker", "how": "status", "status": 503},
            {"kind": "HTTPChaos", "port": 8080, "replace": {"code": 503}},
        ),
    ],
)
def test_a_fault_becomes_its_counterpart(fault: dict[str, Any], expected: dict[str, Any]) -> None:
    found = body(fault)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "net_reset"},
        {"kind": "clock_drift"},
        {"kind": "process_signal", "signal": "STOP"},
        {"kind": "process_signal", "signal": "TERM", "second": "TERM"},
        {"kind": "memory_pressure", "means": "cgroup"},
        {"kind": "http_fault", "how": "invalid_json"},
        {"kind": "redis_refusing"},
    ],
)
def test_what_a_cluster_cannot_do_is_missing_and_not_bent_into_something_else(fault: dict[str, Any]) -> None:
    assert counterpart(build(fault), CLUSTER) is None


def test_pods_are_found_by_the_label_and_namespace_that_are_given() -> None:
    assert body({"kind": "redis_killed"})["selector"] == {
        "namespaces": ["staging"],
        "labelSelectors": {"app": "redis"},
    }


def test_each_fault_of_a_workflow_waits_for_its_time_and_ends_at_its_end() -> None:
    faults = [build({"kind": "net_down"}), build({"kind": "redis_killed"})]
    (workflow,) = documents(export(session_of(*faults), CLUSTER).text)
    templates = {template["name"]: template for template in workflow["spec"]["templates"]}
    assert templates["the-session"]["children"] == ["f0", "f1"]
    assert templates["f0"]["children"] == ["f0-net-down-redis"]
    assert templates["f1"]["children"] == ["f1-wait", "f1-redis-killed-redis"]
    assert templates["f1-wait"]["deadline"] == "1000ms"
    assert templates["f0-net-down-redis"]["deadline"] == "2500ms"
    assert workflow["metadata"]["name"] == "night-1"


def test_names_are_those_that_a_cluster_takes() -> None:
    for manifest in documents(export(session_of(*MAPPED), CLUSTER, apart=True).text):
        name = manifest["metadata"]["name"]
        assert len(name) <= 63
        assert name == name.lower()
        assert all(sign.isalnum() or sign == "-" for sign in name)


def test_what_is_not_quite_the_same_is_said() -> None:
    text = export(session_of(build({"kind": "net_down"}), build({"kind": "redis_stopped"})), CLUSTER).text
    assert "# f1 redis_stopped on redis at 1 s for 2.5 s is PodChaos, but its connections are closed" in text
