from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from front_world import Clock, Events
from prometheus_client.parser import text_string_to_metric_families

from signal_service.admission.backpressure import LevelMachine
from signal_service.config.settings import Levels
from signal_service.observability.events import EventBus
from signal_service.observability.health import Health
from signal_service.observability.metrics import CHILDREN_MAX, Metrics

ROOT = Path(__file__).parents[3]
RULES = ROOT / "service" / "signal_service" / "observability" / "alert_rules.yml"


def scraped(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_counters_agree_with_the_events_that_were_emitted():
    sink = Events()
    bus = EventBus(sink)
    metrics = Metrics(bus, {"signal_level": ("level", lambda: 2.0), "signal_utilisation": ("u", lambda: {"cpu": 0.5})})
    for _ in range(3):
        bus("shed", level="light", priority="low", status=503, retry_after_s=5.0)
    bus("rejected", reason="rate", status=429)
    bus("breaker", name="ticker", old="closed", new="open")
    bus("request_done", status=200, duration_s=0.02, route="signal")
    found = scraped(metrics)
    assert found["signal_shed_total", (("level", "light"), ("priority", "low"))] == len(sink.named("shed")) == 3
    assert found["signal_rejected_total", (("reason", "rate"),)] == 1
    assert found["signal_breaker_changes_total", (("name", "ticker"), ("new", "open"))] == 1
    assert found["signal_requests_total", (("route", "signal"), ("status", "200"))] == 1
    assert found["signal_request_seconds_bucket", (("le", "0.01"), ("route", "signal"))] == 0
    assert found["signal_request_seconds_bucket", (("le", "0.025"), ("route", "signal"))] == 1
    assert found["signal_request_seconds_count", (("route", "signal"),)] == 1
    assert found["signal_level", ()] == 2.0
    assert found["signal_utilisation", (("name", "cpu"),)] == 0.5


def test_what_alarms_are_made_of_is_there_before_it_happens():
    found = scraped(Metrics(EventBus(Events()), {}))
    assert found["signal_shed_total", (("level", "heavy"), ("priority", "high"))] == 0
    assert found["signal_outbox_events_total", (("event", "full"),)] == 0


def test_labels_stay_bounded_whatever_comes():
    bus = EventBus(Events())
    metrics = Metrics(bus, {})
    for number in range(10 * CHILDREN_MAX):
        bus("request_done", status=200, duration_s=0.1, route=f"route-{number}")
    assert len([name for name, _ in scraped(metrics) if name == "signal_requests_total"]) <= CHILDREN_MAX + 1
    assert metrics.count("request_done") == 10 * CHILDREN_MAX


def test_under_heavy_pressure_only_essentials_are_recorded():
    sink = Events()
    bus = EventBus(sink)
    metrics = Metrics(bus, {})
    clock = Clock()
    machine = LevelMachine(Levels(), clock, bus)
    machine.update(0.99, "memory")
    bus("request_done", status=200, duration_s=0.1, route="health")
    bus("shed", level="heavy", priority="normal", status=503, retry_after_s=5.0)
    assert (metrics.count("request_done"), metrics.count("shed")) == (0, 1)
    machine.update(0.1, "memory")
    clock.now += 5
    machine.update(0.1, "memory")
    bus("request_done", status=200, duration_s=0.1, route="health")
    assert metrics.count("request_done") == 1
    assert [fields["mode"] for fields in sink.named("metrics_mode")] == ["essential", "full"]


def test_a_listener_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture):
    sink, heard = Events(), []
    bus = EventBus(sink)
    bus.listen(("level",), lambda *_: 1 / 0)
    bus.listen(("level",), lambda event, _, __: heard.append(event))
    bus("level", old="none", new="light", utilisation=0.7)
    assert (heard, len(sink.all)) == (["level"], 1)
    assert "a listener of the event level failed" in caplog.text


def test_readiness_tells_starting_ready_degraded_and_draining_apart():
    bus = EventBus(Events())
    health = Health(bus)
    assert health.ready() == (503, {"status": "starting", "ready": False, "degraded": False})
    health.phase = "ready"
    assert health.ready()[0] == 200
    for event, wrong, right in (
        ("startup", {"phase": "absent", "dependency": "alert"}, {"phase": "late", "dependency": "alert"}),
        ("breaker", {"name": "ticker", "new": "open"}, {"name": "ticker", "new": "closed"}),
        ("redis", {"event": "lost"}, {"event": "back"}),
        ("audit", {"event": "failed"}, {"event": "back"}),
        ("level", {"new": "moderate"}, {"new": "light"}),
    ):
        bus(event, **wrong)
        assert health.ready() == (200, {"status": "degraded", "ready": True, "degraded": True})
        assert len(health.reasons()) == 1
        bus(event, **right)
        assert health.ready()[1]["status"] == "ready"
    bus("redis", event="volatile", durable=False)
    assert health.reasons() == ["store is volatile"]
    health.phase = "draining"
    assert health.ready()[0] == 503


def test_the_alert_rules_fire_when_they_should():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH (Debian: apt-get install prometheus)")
    tests = ROOT / "tests" / "service" / "alert_rules_test.yml"
    done = subprocess.run([promtool, "test", "rules", str(tests)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
