"""Load runs end to end: against a service of our own, somebody's, with Locust's own master and workers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from load_driving import hardening, locust, scaled, served, verdicts

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome
from hardening.load.raw_rows import read_rows
from hardening.runs.load import load_history
from hardening.worlds.live.processes import free_port

pytestmark = pytest.mark.live


def test_a_burst_with_a_fault_is_judged_and_leaves_evidence_that_no_claim_is_broken_by(tmp_path: Path) -> None:
    schedule = tmp_path / "schedule.json"
    fault = {"kind": "http_fault", "target": "ticker", "how": "status", "status": 500}
    schedule.write_text(json.dumps([{"at_s": 2, "for_s": 1, "fault": fault}]), encoding="utf-8")
    out = tmp_path / "out"
    options = ["--shape", "burst", "--rate", "3", "--duration", "10s", "--no-lone-client", "--schedule", str(schedule)]
    done = hardening(*options, *scaled(tmp_path), "--out", str(out), "--json")
    lines = verdicts(done)
    assert not [one for one in lines.values() if one["verdict"] == "FAIL"]
    for name in ("rate.accepted", "rate.overload", "retry_after.429", "in_flight.at_rest", "claim.C2.2"):
        assert lines[name]["verdict"] == "PASS", lines[name]
    history = load_history(out)
    assert history.select("fault", "heal")[0].value["verified"]
    assert not [one for one in judge_all({"load": history}) if one.outcome is Outcome.FAIL]
    assert {path.name for path in out.iterdir()} >= {"load.json", "load.xml", "load.csv", "load.html", "load.jsonl"}
    again = hardening("judge", str(out), "--budgets", str(tmp_path / "budgets.toml"), "--json")
    assert json.loads(again.stdout) == json.loads(done.stdout)


@pytest.fixture(scope="module")
def service():
    with served() as facts:
        yield facts


def environment(facts: dict[str, str], out: Path, **more: str) -> dict[str, str]:
    keys = {"LOAD_API_KEY": facts["demo_key"], "LOAD_OPERATOR_KEY": facts["operator_key"], "LOAD_OUT": str(out)}
    return {**keys, "LOAD_LONE_CLIENT": "0", **more}


def test_somebody_elses_service_is_loaded_over_its_address_and_key_alone(
    service: dict[str, str], tmp_path: Path
) -> None:
    keys = {"STAGING_KEY": service["demo_key"], "STAGING_OPERATOR": service["operator_key"]}
    options = ["--shape", "open", "--rate", "3", "--duration", "5s", "--no-lone-client", "--out", str(tmp_path / "o")]
    host = ["--host", service["service"], "--api-key-env", "STAGING_KEY", "--operator-key-env", "STAGING_OPERATOR"]
    done = hardening(*options, *host, "--json", env=keys)
    lines = verdicts(done)
    for name in ("rate.accepted", "in_flight.at_rest", "errors.share", "agreement.counters"):
        assert lines[name]["verdict"] == "PASS", lines[name]
    everything = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "o").iterdir())
    assert service["demo_key"] not in everything
    assert service["operator_key"] not in everything


def test_a_master_and_two_workers_record_in_one_place_and_are_judged_from_there(
    service: dict[str, str], tmp_path: Path
) -> None:
    port, out = free_port(), tmp_path / "out"
    told = environment(service, out, LOAD_SHAPE="open", LOAD_RATE="6", LOAD_DURATION="5", LOAD_WORKERS="2")
    host = ["--host", service["service"]]
    master = ["--master", "--master-bind-port", str(port), "--expect-workers", "2", "--headless", *host]
    processes = [locust(*master, "--stop-timeout", "12", env=told)]
    worker = ["--worker", "--master-port", str(port)]
    processes += [locust(*worker, env={**told, "LOAD_OUT": str(tmp_path / f"w{i}")}) for i in range(2)]
    codes = [process.wait(60) for process in processes]
    assert codes[0] == 0
    rows = {path.name: read_rows(path)[1] for path in out.glob("requests-*.jsonl")}
    assert {"requests-0.jsonl", "requests-1.jsonl"} <= rows.keys()
    ids = Counter(row[0] for file in rows.values() for row in file)
    assert max(ids.values()) == 1
    done = hardening("judge", str(out), "--json")
    lines = verdicts(done)
    for name in ("in_flight.at_rest", "errors.share", "agreement.counters"):
        assert lines[name]["verdict"] == "PASS", lines[name]


def test_a_worker_that_was_told_another_plan_ends_the_run(service: dict[str, str], tmp_path: Path) -> None:
    port, out = free_port(), tmp_path / "out"
    told = environment(service, out, LOAD_SHAPE="open", LOAD_RATE="4", LOAD_DURATION="40", LOAD_WORKERS="1")
    host = ["--host", service["service"]]
    master = ["--master", "--master-bind-port", str(port), "--expect-workers", "1", "--headless", *host]
    processes = [
        locust(*master, "--stop-timeout", "12", env=told),
        locust("--worker", "--master-port", str(port), env={**told, "LOAD_RATE": "3", "LOAD_OUT": str(tmp_path / "w")}),
    ]
    for process in processes:
        process.wait(60)
    errors = verdicts(hardening("judge", str(out), "--json"))["errors.share"]
    assert errors["verdict"] == "FAIL"
    assert "worker 0 has another plan: rate_per_s is 3.0 there, 4.0 here" in errors["reason"]


def test_a_stop_signal_ends_a_run_whose_service_is_then_looked_at_in_rest(
    service: dict[str, str], tmp_path: Path
) -> None:
    told = environment(service, tmp_path, LOAD_SHAPE="steady", LOAD_RATE="4", LOAD_DURATION="60")
    process = locust("--host", service["service"], "--headless", "--stop-timeout", "12", env=told)
    rows = tmp_path / "requests-0.jsonl"
    ends = time.monotonic() + 40
    while time.monotonic() < ends and not (rows.exists() and len(read_rows(rows)[1]) > 5):
        time.sleep(0.2)
    process.terminate()
    assert process.wait(40) == 0
    done = hardening("judge", str(tmp_path), "--json")
    assert "a person asked for it" in json.loads(done.stdout)["ended_early"]
    assert verdicts(done)["in_flight.at_rest"]["verdict"] == "PASS"


def test_plain_locust_with_its_own_user_count_leaves_files_that_can_be_judged(
    service: dict[str, str], tmp_path: Path
) -> None:
    arguments = ["--host", service["service"], "--headless", "-u", "8", "-r", "8", "-t", "4s", "--stop-timeout", "12"]
    assert locust(*arguments, env=environment(service, tmp_path)).wait(60) == 0
    lines = verdicts(hardening("judge", str(tmp_path), "--json"))
    assert lines["errors.share"]["verdict"] == "PASS"
    assert lines["errors.share"]["count"] > 8


class Rude:
    """Answers every connection by reading the request and closing without a word; counts request ids."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.seen: Counter[str] = Counter()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                head = connection.recv(65536).decode("latin-1").lower()
                self.seen.update(
                    line.partition(":")[2].strip() for line in head.splitlines() if line.startswith("x-request-id")
                )


def test_a_broken_connection_is_an_error_once_and_ends_the_run_early(tmp_path: Path) -> None:
    rude = Rude()
    try:
        env = {"K": "sk_whatever-it-is"}
        options = ["--shape", "open", "--rate", "10", "--duration", "60s", "--abort-errors", "0.3", "--no-lone-client"]
        began = time.monotonic()
        done = hardening(
            *options, "--host", rude.url, "--api-key-env", "K", "--out", str(tmp_path / "o"), "--json", env=env
        )
        lasted_s = time.monotonic() - began
    finally:
        rude.listener.close()
    assert done.returncode == 1
    assert "ended early" in verdicts(done)["errors.share"]["reason"]
    assert lasted_s < 55
    assert max(rude.seen.values()) == 1
