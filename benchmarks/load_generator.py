"""What the load generator itself costs, and whether it is as quick as plain Locust: figures and a ratio.

    python benchmarks/load_generator.py [--json] [--quick]

Two questions. How much of a core does it take to offer 300 requests a minute? How many requests a second can one
process send to a trivial server, recording each, beside plain Locust's ``FastHttpUser`` that records none? Both
sides are measured in turns, so that a noisy neighbour hits both alike. The server answers from a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from hardening.runs.load import locustfile

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"source": "cached"}'
USERS = 40

PLAIN = """
from locust import FastHttpUser, task, constant
class Plain(FastHttpUser):
    wait_time = constant(0)
    concurrency = 1
    @task
    def ask(self):
        self.client.get("/v2/signals/AAPL?timeframe=1m", headers={"X-API-Key": "sk_benchmark"}, name="signal")
"""


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.held = b""

    def data_received(self, data: bytes) -> None:
        self.held += data
        count = 0
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head = self.held[:end].lower()
            at = head.find(b"content-length:")
            body = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.held) < end + 4 + body:
                break
            self.held = self.held[end + 4 + body :]
            count += 1
        if count:
            self.transport.write(ANSWER * count)  # type: ignore[attr-defined]


def _serve(ready: Any) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", 0, backlog=512)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def plain(url: str, for_s: float, folder: Path) -> float:
    """Requests a second of plain Locust."""
    file = folder / "plain.py"
    file.write_text(PLAIN, encoding="utf-8")
    argv = [sys.executable, "-m", "locust", "-f", str(file), "--host", url, "--headless", "-u", str(USERS)]
    argv += ["-r", "1000", "-t", f"{for_s:g}s", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"plain Locust failed: {done.stderr[-500:]}")
    stats = json.loads(done.stdout[done.stdout.index("[") :])
    requests = sum(one["num_requests"] for one in stats)
    lasted_s = max(one["last_request_timestamp"] for one in stats) - min(one["start_time"] for one in stats)
    return float(requests / lasted_s)


def _environment(out: Path, **plan: Any) -> dict[str, str]:
    keys = {name: {"key": "sk_benchmark", "user": "u", "priority": "normal"} for name in ("demo", "high", "low")}
    whole = {"abort_error_share": 1.0, "lone_client": False, **plan}
    return {**os.environ, "LOAD_PLAN": json.dumps(whole), "LOAD_KEYS": json.dumps(keys), "LOAD_OUT": str(out)}


def _ours(url: str, out: Path, **plan: Any) -> tuple[list[list[Any]], float]:
    """Rows that were recorded, and the processor time that the generator took from its first to its last second."""
    argv = [sys.executable, "-m", "locust", "-f", str(locustfile()), "--host", url, "--headless", "--only-summary"]
    process = subprocess.Popen(
        argv, env=_environment(out, **plan), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    watched = psutil.Process(process.pid)
    plan_file = out / "plan.json"
    while not plan_file.exists():
        time.sleep(0.02)
    began_s = _cpu_s(watched)
    time.sleep(float(plan["duration_s"]))
    used_s = _cpu_s(watched) - began_s
    process.wait(60)
    lines = (out / "requests-0.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    return [json.loads(line) for line in lines], used_s


def ours(url: str, for_s: float, folder: Path, number: int) -> float:
    """Requests a second of our users when they do not think, each request recorded."""
    out = folder / f"ours-{number}"
    environment = _environment(out)
    del environment["LOAD_PLAN"]
    environment["LOAD_PACE"] = "0.001"
    argv = [sys.executable, "-m", "locust", "-f", str(locustfile()), "--host", url, "--headless", "--only-summary"]
    argv += ["-u", str(USERS), "-r", "1000", "-t", f"{for_s:g}s"]
    subprocess.run(argv, env=environment, capture_output=True, check=True)
    lines = (out / "requests-0.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    ends = sorted(json.loads(line)[11] for line in lines)
    return len(ends) / (ends[-1] - ends[0])


def idle_share(url: str, for_s: float, folder: Path) -> float:
    """Share of a core at 300 requests a minute."""
    _, used_s = _ours(url, folder / "calm", shape="open", rate_per_s=5.0, duration_s=for_s)
    return used_s / for_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    rounds, for_s, calm_s = (2, 3.0, 8.0) if options.quick else (5, 6.0, 30.0)
    mine, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{mine.recv()}"
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            calm = idle_share(url, calm_s, folder)
            pairs = [(ours(url, for_s, folder, number), plain(url, for_s, folder)) for number in range(rounds)]
    finally:
        server.terminate()
        server.join()
    figures = {
        "cpu_share_at_300_per_minute": round(calm, 4),
        "ours_per_s": round(statistics.median(a for a, _ in pairs)),
        "plain_locust_per_s": round(statistics.median(b for _, b in pairs)),
        "ratio": round(statistics.median(a / b for a, b in pairs), 3),
        "rounds": rounds,
    }
    if options.json:
        print(json.dumps(figures))
        return
    print(f"300 requests a minute: {figures['cpu_share_at_300_per_minute']:.1%} of a core (goal: under 5 %)")
    print(f"one process, trivial server: {figures['ours_per_s']}/s, plain Locust {figures['plain_locust_per_s']}/s")
    print(f"ratio {figures['ratio']:.2f} (goal: 0.9), median of {rounds} rounds in turns")


if __name__ == "__main__":
    main()
