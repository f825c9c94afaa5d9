"""Locust's users: they draw operations of the workload model, send them, and record each to the last digit."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import gevent
from locust import FastHttpUser, constant_pacing, tag, task
from prometheus_client.parser import text_string_to_metric_families

from loadtests import mix, shapes
from loadtests.recording import Recording
from loadtests.spec import DURATION_S_MAX, LoadSpec, keys_from_environment
from scenarios.judge.workload import Operation

EXPECTED = (200, 202, 400, 401, 403, 404, 408, 413, 422, 429, 503)
"""Answers that a service may give to what is sent here; whether it should have is the judge's."""

SPEC = LoadSpec.from_environment()
KEYS = keys_from_environment()
RECORDINGS: list[Recording] = []
_COUNT = [0]


def recording() -> Recording:
    """This process's record, made at the first request (Locust forks its workers before)."""
    if not RECORDINGS:
        RECORDINGS.append(Recording(SPEC))
    return RECORDINGS[0]


class Asking(FastHttpUser):
    """What all users share: a generator of their own, sending, recording."""

    abstract = True
    kind = ""
    connection_timeout = 5.0
    network_timeout = 15.0

    def on_start(self) -> None:
        """Number this user: everything it draws follows from seed, process and number."""
        _COUNT[0] += 1
        index = getattr(self.environment.runner, "worker_index", 0)
        self.rng = random.Random(f"{SPEC.seed}-{index}-{type(self).__name__}-{_COUNT[0]}")

    def send(self, kind: str, operation: Operation, intended_s: float | None = None) -> tuple[int, str]:
        """Send one operation and record it; returns status (0: no answer) and body."""
        record = recording()
        request_id = record.new_id()
        began_s = time.monotonic()
        at_s = began_s if intended_s is None else intended_s
        if operation.disconnect_after_s is not None:
            status, body, error, said = *self._hang_up(operation, request_id), {}
        else:
            status, body, error, said = self._exchange(operation, request_id)
        line: dict[str, Any] = {
            "at_s": at_s,
            "began_s": began_s,
            "latency_s": time.monotonic() - at_s,
            "id": request_id,
            "kind": kind,
            "operation": operation.operation,
            "method": operation.method,
            "path": operation.path,
            "priority": operation.priority,
            "key": operation.sends,
            "status": status,
            "error": error,
            **said,
        }
        if "Idempotency-Key" in operation.headers:
            line["idempotency_key"] = operation.headers["Idempotency-Key"]
        record.add(line, failed=status not in EXPECTED and error != "disconnected")
        if record.too_many_errors() and self.environment.runner is not None:
            record.abort("too many of the last requests failed")
            self.environment.runner.quit()
        return status, body

    def _headers(self, operation: Operation, request_id: str) -> dict[str, str]:
        headers = {"X-Request-Id": request_id}
        key = KEYS.get(operation.key, "")
        if key and operation.sends == "valid":
            headers["X-API-Key"] = key
        if operation.body is not None:
            headers["Content-Type"] = "application/json"
        return headers | dict(operation.headers)

    def _exchange(self, operation: Operation, request_id: str) -> tuple[int, str, str, dict[str, Any]]:
        body = operation.body
        data = None if body is None else body if isinstance(body, str) else json.dumps(body)
        headers = self._headers(operation, request_id)
        name = f"{operation.operation} {operation.method}"
        with self.client.request(
            operation.method, operation.path, name=name, headers=headers, data=data, catch_response=True
        ) as answer:
            status = int(answer.status_code or 0)
            if status in EXPECTED:
                answer.success()
            error = "" if status else str(answer.error or "no answer")
            text = answer.text or "" if status else ""
            return status, text, error, _said(answer.headers or {}, text, operation)

    def _hang_up(self, operation: Operation, request_id: str) -> tuple[int, str, str]:
        """Send the whole request and go away before the answer."""
        place = urlsplit(self.host or "")
        lines = [f"{operation.method} {operation.path} HTTP/1.1", f"Host: {place.netloc}"]
        lines += [f"{name}: {value}" for name, value in self._headers(operation, request_id).items()]
        try:
            with socket.create_connection((place.hostname or "", place.port or 80), 5.0) as connection:
                connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
                gevent.sleep(operation.disconnect_after_s)
        except OSError as error:
            return 0, "", f"{type(error).__name__}: {error}"
        return 0, "", "disconnected"


def _said(headers: Mapping[str, str], text: str, operation: Operation) -> dict[str, Any]:
    """What of an answer the judge wants: the wait it asks for, the alert it accepted."""
    said: dict[str, Any] = {}
    wait = headers.get("Retry-After") or headers.get("retry-after")
    if wait:
        said["retry_after"] = wait
    if operation.operation == "alert" or operation.operation == "signal":
        try:
            data = json.loads(text)
        except ValueError:
            return said
        for name in ("alert_id", "source", "degraded", "type", "retry_after_s"):
            if isinstance(data, dict) and data.get(name) is not None:
                said[name] = data[name]
    return said


class Mixed(Asking):
    """Draws the kind anew for each request, by the shares of the mix: exact at any rate."""

    wait_time = constant_pacing(shapes.pace_s(SPEC))
    weight = 0 if SPEC.duration_s >= DURATION_S_MAX else 1

    def on_start(self) -> None:
        """Begin somewhere in the pace, or all would ask at one moment."""
        super().on_start()
        gevent.sleep(self.rng.random() * shapes.pace_s(SPEC))

    @task
    def ask(self) -> None:
        """One request."""
        kind, operation = mix.draw(self.rng, SPEC, f"{SPEC.seed}-{self.rng.getrandbits(48):012x}")
        self.send(kind, operation)


class Reader(Asking):
    """A few symbols, cached."""

    weight = 60
    wait_time = constant_pacing(1.0)

    @tag("reader")
    @task
    def ask(self) -> None:
        """One request."""
        self.send("reader", mix.reader(self.rng, SPEC, ""))


class Explorer(Asking):
    """Symbols that nobody asked for before."""

    weight = 15
    wait_time = constant_pacing(1.0)

    @tag("explorer")
    @task
    def ask(self) -> None:
        """One request."""
        self.send("explorer", mix.explorer(self.rng, SPEC, ""))


class Batcher(Asking):
    """Several symbols at once, with low priority."""

    weight = 5
    wait_time = constant_pacing(1.0)

    @tag("batcher")
    @task
    def ask(self) -> None:
        """One request."""
        self.send("batcher", mix.batcher(self.rng, SPEC, ""))


class Alerter(Asking):
    """Alerts with keys of their own."""

    weight = 15
    wait_time = constant_pacing(1.0)

    @tag("alerter")
    @task
    def ask(self) -> None:
        """One request."""
        self.send("alerter", mix.alerter(self.rng, SPEC, f"{SPEC.seed}-{self.rng.getrandbits(48):012x}"))


class Rude(Asking):
    """Hangs up, sends wrong keys, sends no JSON."""

    weight = 5
    wait_time = constant_pacing(1.0)

    @tag("rude")
    @task
    def ask(self) -> None:
        """One request."""
        self.send("rude", mix.rude(self.rng, SPEC, ""))


class Operator(Asking):
    """Asks for health, readiness and metrics, and writes the metrics down."""

    fixed_count = 1
    wait_time = constant_pacing(1.0)

    def on_start(self) -> None:
        """Count from nothing."""
        super().on_start()
        self.number = 0

    @tag("operator")
    @task
    def ask(self) -> None:
        """One request; without an operator's key only what is public."""
        self.number += 1
        operation = mix.watch(self.number)
        if operation.operation == "metrics" and not KEYS.get("operator"):
            return
        at_s = time.monotonic()
        status, text = self.send("operator", operation)
        if operation.operation == "metrics" and status == 200:
            recording().scrape(at_s, series_of(text))


class Arrivals(Asking):
    """Open arrivals: starts requests on a schedule, and measures each from the moment it was meant to start."""

    weight = 0
    wait_time = constant_pacing(1.0)

    @task
    def ask(self) -> None:
        """All arrivals of this worker, then nothing more."""
        index = max(0, getattr(self.environment.runner, "worker_index", 0))
        zero_s = time.monotonic()
        for at_s in shapes.arrivals(SPEC, index, SPEC.workers):
            intended_s = zero_s + at_s
            wait_s = intended_s - time.monotonic()
            if wait_s > 0:
                gevent.sleep(wait_s)
            kind, operation = mix.draw(self.rng, SPEC, f"{SPEC.seed}-{self.rng.getrandbits(48):012x}")
            gevent.spawn(self.send, kind, operation, intended_s)
        gevent.sleep(86_400)


def series_of(text: str) -> dict[str, float]:
    """Every series of a scrape by ``name{label=value,...}``, buckets left out."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith(("_bucket", "_created")):
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found
