"""Runs the containers of ``compose.yaml`` without an engine, and tells what it saw as JSON.

Started by ``unshare --mount --net --pid --fork``, so that mounts, ports and processes are ours alone and end with us.
One read-only root serves all; each process runs as its own user without any capability, with exactly the arguments and
variables of its container. ``argv[1]`` is the plan; see ``test_containers.py``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

START_S_MAX = 60.0


def sh(*words: str) -> None:
    subprocess.run(words, check=True)


def mount(new: Path, source: str, target: str, *options: str) -> None:
    inside = new / target.lstrip("/")
    if Path(source).is_file():
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.touch()
    else:
        inside.mkdir(parents=True, exist_ok=True)
    sh("mount", *options, source, str(inside))


def build_root(plan: dict[str, Any]) -> Path:
    """A root of its own: the machine's programs, the images' files, and nothing that can be written but volumes."""
    new = Path(plan["root"])
    sh("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(new))
    mount(new, "/usr", "/usr", "--bind")
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            (new / name).symlink_to(f"usr/{name}")
        elif Path("/", name).exists():
            mount(new, f"/{name}", f"/{name}", "--bind")
    mount(new, "/dev", "/dev", "--rbind")
    mount(new, "/sys", "/sys", "--rbind")
    mount(new, "proc", "/proc", "-t", "proc")
    (new / "etc").mkdir()
    for name in ("passwd", "group", "ld.so.cache"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(f"/etc/{name}", new / "etc" / name)
    (new / "etc" / "nsswitch.conf").write_text("hosts: files\npasswd: files\ngroup: files\n")
    names = " ".join(plan["containers"])
    (new / "etc" / "hosts").write_text(f"127.0.0.1 localhost {names}\n")
    for target, source in plan["binds"].items():
        mount(new, source, target, "--bind")
    for target, source in plan["links"].items():
        (new / target.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (new / target.lstrip("/")).symlink_to(source)
    for target, owner in plan["volumes"].items():
        user, group = owner.split(":")
        mount(new, "tmpfs", target, "-t", "tmpfs", "-o", f"mode=0750,uid={user},gid={group}")
    for target in plan["memory"]:
        mount(new, "tmpfs", target, "-t", "tmpfs", "-o", "mode=1777")
    sh("mount", "-o", "remount,ro", str(new))
    return new


def inside(new: Path, container: dict[str, Any], argv: list[str]) -> list[str]:
    """The command line that runs ``argv`` as this container would."""
    user, group = container["user"].split(":")
    variables = [f"{name}={value}" for name, value in container["environment"].items()]
    least = ["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    as_whom = ["setpriv", f"--reuid={user}", f"--regid={group}", *least]
    return ["chroot", str(new), *as_whom, "env", "-i", f"--chdir={container['directory']}", *variables, *argv]


def until(condition: Callable[[], Any], limit_s: float = START_S_MAX) -> Any:
    """The first true value, or the last false one."""
    deadline_s = time.monotonic() + limit_s
    while not (value := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return value


def ask(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


class Stack:
    """Starts the containers in the order that they ask for."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.root = build_root(plan)
        self.seen: dict[str, Any] = {"healthy": {}, "logs": {}}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        container = self.plan["containers"][name]
        for other, condition in container["after"].items():
            if condition == "service_healthy":
                assert self.seen["healthy"][other], f"{name} waits for {other}"
            else:
                assert self.running[other].wait(START_S_MAX) == 0, f"{other} did not complete"
        log = (Path(self.plan["logs"]) / f"{name}.log").open("wb")
        argv = inside(self.root, container, container["argv"])
        self.running[name] = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT)
        if name in self.plan["healthchecks"]:
            self.seen["healthy"][name] = bool(
                until(lambda: self.healthy(name) or self.running[name].poll() is not None)
            )
            self.seen["healthy"][name] = self.healthy(name)

    def healthy(self, name: str) -> bool:
        container = self.plan["containers"][name]
        argv = inside(self.root, container, container["health"] or self.plan["healthchecks"][name])
        return subprocess.run(argv, capture_output=True, timeout=10, check=False).returncode == 0

    def look(self) -> None:
        """What a user, an operator and Prometheus see."""
        keys, seen = self.plan["keys"], self.seen
        seen["signal"] = ask(8080, "/v2/signals/AAPL?timeframe=1m", X_API_Key=keys["demo"])
        seen["metrics"] = ask(8080, "/metrics", Authorization=f"Bearer {keys['metrics']}")[0]
        seen["ready"] = ask(8080, "/ready", X_API_Key=keys["operator"])
        seen["proxies"] = json.loads(ask(8474, "/proxies")[1])
        service = self.plan["containers"]["service"]
        for name, path in (("app", "/app/x"), ("root", "/x"), ("audit", "/var/lib/signal/x")):
            touched = subprocess.run(inside(self.root, service, ["touch", path]), capture_output=True, check=False)
            seen[f"writes_{name}"] = touched.returncode == 0
        if "prometheus" in self.running:

            def up() -> bool:
                query = ask(9090, "/api/v1/query?query=up%7Bjob%3D%22signal-service%22%7D")
                return query[0] == 200 and [one["value"][1] for one in json.loads(query[1])["data"]["result"]] == ["1"]

            seen["scraped"] = until(up)
            rules = json.loads(ask(9090, "/api/v1/rules")[1])["data"]["groups"]
            seen["rules"] = sorted(rule["name"] for group in rules for rule in group["rules"])

    def end(self) -> None:
        """Health after the service is gone, and how it went."""
        self.running["service"].terminate()
        self.seen["service_exit_code"] = self.running["service"].wait(self.plan["grace_s"])
        self.seen["healthy_when_gone"] = self.healthy("service")


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    sh("mount", "--make-rprivate", "/")
    sh("ip", "link", "set", "lo", "up")
    stack = Stack(plan)
    try:
        for name in plan["containers"]:
            stack.start(name)
        stack.look()
        stack.end()
    except Exception as error:  # noqa: BLE001 - what was seen so far tells why
        stack.seen["error"] = f"{type(error).__name__}: {error}"
    for path in Path(plan["logs"]).glob("*.log"):
        stack.seen["logs"][path.stem] = path.read_text(errors="replace")[-3000:]
    sys.stdout.write(json.dumps(stack.seen))
    sys.stdout.flush()
    os._exit(0)  # the namespace's first process: what still runs ends with it


if __name__ == "__main__":
    main()
