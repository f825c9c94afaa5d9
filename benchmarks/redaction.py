"""What redaction and the log cost: ``python -m benchmarks.redaction [--peer PYTHON]``.

Prints the speed on a mixed 1 MB JSON log, how hostile lines grow with their length, what ``emit`` costs the calling
thread, and the ratio to detect-secrets, which ``--peer`` names the interpreter of a virtual environment for.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from signal_service.security.logging import configure_secure_logging
from signal_service.security.redaction import Redactor

OWN = ("srv-Tk9f31c07a55e84b2d90-live", "Au3dit-9c1e77b04f2a66d8", "r3dis-P4ss-71bd20e6")
HOSTILE = {
    "aaaa": "a",
    "digits": "4",
    "digits and dashes": "4111-",
    "@": "@",
    "a@a.": "a@a.",
    "plus": "+1 ",
    "percent": "%41",
    "double percent": "%2541",
    "://": "a://",
    "backslashes": "\\",
    "backslash quote": '\\"',
    "password=": "password=",
    'password":"': '"password":"',
    "eyJ": "eyJ",
    "dots": "eyJa.",
    "bearer": "bearer ",
    "PEM": "-----BEGIN PRIVATE KEY-----",
    "own fragment": OWN[0][:8],
    "u0041": "\\u0041",
}
PEER = """
import sys, time
from detect_secrets.core.scan import scan_line
from detect_secrets.settings import default_settings
lines = open(sys.argv[1], encoding="utf-8").read().splitlines()
with default_settings():
    list(scan_line("warm up password = 'x'"))
    start = time.process_time()
    found = sum(1 for line in lines if list(scan_line(line)))
    print(time.process_time() - start, found)
"""


def mixed_log(size: int, rng: random.Random) -> str:
    """JSON lines as the service writes them, one in twenty with a secret."""
    lines: list[str] = []
    length = 0

    def price() -> float:
        return round(rng.uniform(1, 9e4), 2)

    while length < size:
        fields: dict[str, object] = rng.choice(
            [
                {"route": "/v2/signals/BTCUSDT", "status": 200, "duration_s": round(rng.random(), 6), "user": "u17"},
                {"key": "signal:cache:BTCUSDT:1m", "event": "hit", "version": rng.randrange(9), "age_s": rng.random()},
                {
                    "candles": [
                        [1763900000 + 60 * i, *(round(rng.uniform(1, 9e4), 2) for _ in "ohlc"), 12.5] for i in range(8)
                    ]
                },
                {
                    "message": "HTTP Request: GET http://127.0.0.1:9001/candles/ETHUSDT?timeframe=1m&limit=200",
                    "level": "info",
                },
                {
                    "digest": f"{rng.getrandbits(256):064x}",
                    "generation": 3,
                    "trace": 'File "service/signal_service/app.py", line 10',
                },
                {"name": "ticker", "outcome": "ok", "attempts": 1, "call_id": f"{rng.getrandbits(64):016x}"},
            ]
        )
        if rng.random() < 0.05:
            fields["message"] = rng.choice(
                [
                    "login password=hunter2hunter2 from 10.0.0.1",
                    "GET /v2/signals/BTCUSDT?api_key=k-29384723984&email=alice%40example.com",
                    "Authorization: Bearer abcdefghijklmnopqrstuvwxyz.0123456789",
                    f"cannot reach redis://:{OWN[2]}@10.1.2.3:6379/0",
                    "card 4111 1111 1111 1111 of bob@example.org, +49 170 1234567",
                    f"token {OWN[0][:15]}...",
                ]
            )
        identity = str(uuid.UUID(int=rng.getrandbits(128)))
        head = {
            "event": "request_done",
            "mono_s": round(rng.uniform(1, 1e5), 6),
            "ts": "2026-11-23T13:52:42.166285+00:00",
        }
        lines.append(json.dumps({**head, "id": identity, "fields": fields}, separators=(",", ":")))
        length += len(lines[-1]) + 1
    return "\n".join(lines) + "\n"


def best_s(call: Callable[[], object], times: int) -> float:
    """CPU seconds of this thread, the best of some: what else runs on the machine does not count."""
    found = float("inf")
    for _ in range(times):
        start = time.thread_time()
        call()
        found = min(found, time.thread_time() - start)
    return found


def throughput(redactor: Redactor, log: str) -> float:
    chunks = [log[at : at + 65536] for at in range(0, len(log), 65536)]
    whole = best_s(lambda: redactor.text(log), 5)
    batches = best_s(lambda: [redactor.text(chunk) for chunk in chunks], 5)
    lines = log.splitlines()
    single = best_s(lambda: [redactor.text(line) for line in lines], 2)
    size = len(log) / 1e6
    print(f"mixed JSON log of {size:.2f} MB: {size / whole:.1f} MB/s whole (wanted: 25),")
    print(f"    {size / batches:.1f} MB/s in batches of 64 KiB,")
    print(f"    {size / single:.1f} MB/s line by line ({single / len(lines) * 1e6:.1f} us a line)")
    return whole


def linearity(redactor: Redactor) -> None:
    print("hostile lines of 250 kB, 500 kB, 1 MB [ms of CPU]; linear is a ratio of 2:")
    for name, unit in HOSTILE.items():
        took = []
        for length in (250_000, 500_000, 1_000_000):
            line = unit * (length // len(unit))
            took.append(best_s(lambda line=line: redactor.text(line), 2) * 1e3)  # type: ignore[misc]
        ratios = f"x{took[1] / took[0]:.2f} x{took[2] / took[1]:.2f}"
        print(f"    {name:18} {took[0]:8.1f} {took[1]:8.1f} {took[2]:8.1f}   {ratios}")


def _redact_and_tell(line: str, done: threading.Event) -> None:
    Redactor(OWN).text(line)
    done.set()


def stall(log: str) -> None:
    """How long another thread is kept from running while 1 MB lines are redacted."""
    for name, line in (
        ("mixed", log.replace("\n", " ")),
        *((name, unit * (1_000_000 // len(unit))) for name, unit in HOSTILE.items()),
    ):
        worst, done = 0.0, threading.Event()
        worker = threading.Thread(target=_redact_and_tell, args=(line, done))
        worker.start()
        last = time.perf_counter()
        while not done.is_set():
            time.sleep(0.0005)
            now = time.perf_counter()
            worst, last = max(worst, now - last), now
        worker.join()
        print(f"    {name:18} longest stall of another thread {worst * 1e3:6.1f} ms (budget 250)")


def emit_cost() -> None:
    sink = os.open(os.devnull, os.O_WRONLY)
    for pause_s, name in ((0.0, "in one burst"), (0.001, "one a millisecond")):
        handle = configure_secure_logging(sink, secrets=OWN, detail="all", capacity=100_000)
        took = []
        for _ in range(20_000 if not pause_s else 1_000):
            start = time.perf_counter()
            handle.emit("request_done", id="r-17", status=200, duration_s=0.0123, route="/v2/signals", user="u1")
            took.append(time.perf_counter() - start)
            if pause_s:
                time.sleep(pause_s)
        handle.close(10)
        took.sort()
        median, tail, mean = took[len(took) // 2], took[len(took) * 99 // 100], sum(took) / len(took)
        print(
            f"emit, {name}: median {median * 1e6:.1f} us, 99 % {tail * 1e6:.1f} us, mean {mean * 1e6:.1f} us", end=" "
        )
        print(f"on the calling thread; dropped {handle.dropped}")
    os.close(sink)


def peer(python: str, log: str, ours_s: float) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log.txt"
        path.write_text(log, encoding="utf-8")
        answer = subprocess.run([python, "-c", PEER, str(path)], capture_output=True, text=True, check=True)
    took, found = answer.stdout.split()
    print(f"detect-secrets: {len(log) / 1e6 / float(took):.3f} MB/s, {found} lines found;", end=" ")
    print(f"ours is {float(took) / ours_s:.0f} times as fast")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", help="interpreter of an environment with detect-secrets")
    arguments = parser.parse_args()
    redactor = Redactor(OWN)
    log = mixed_log(1_000_000, random.Random(7))
    ours_s = throughput(redactor, log)
    linearity(redactor)
    stall(log)
    emit_cost()
    if arguments.peer:
        peer(arguments.peer, log, ours_s)
    else:
        print("detect-secrets: not measured, name its interpreter with --peer")
    return 0


if __name__ == "__main__":
    sys.exit(main())
