"""`python -m hardening.proxy`: how it starts, how it ends, and what it says about a bad configuration."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardening.proxy.server import main

pytestmark = pytest.mark.live


class Running:
    """A proxy process and the URL it printed."""

    def __init__(self, *arguments: str, stdin: int = subprocess.DEVNULL, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hardening.proxy", "--port", "0", *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.url = self.line.split()[2]

    def get(self, path: str, **headers: str) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(self.url + path, headers=headers), timeout=5) as reply:
            return json.load(reply)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=5)


@pytest.fixture
def run() -> Iterator[Any]:
    started: list[Running] = []

    def start(*arguments: str, **more: Any) -> Running:
        started.append(Running(*arguments, **more))
        return started[-1]

    yield start
    for running in started:
        running.close()


def config(path: Path, value: Any) -> str:
    file = path / "toxiproxy.json"
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(file)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_0_even_with_live_connections(
    run: Any, tmp_path: Path, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as far:
        entry = {"name": "p", "upstream": f"127.0.0.1:{far.getsockname()[1]}", "listen": "127.0.0.1:0"}
        running = run("--config", config(tmp_path, [entry]))
        host, port = running.get("/proxies/p")["listen"].split(":")
        with socket.create_connection((host, int(port)), timeout=5) as client:
            running.process.send_signal(number)
            assert client.recv(1) == b""
        assert running.process.wait(timeout=5) == 0
        assert running.process.communicate()[1] == ""


def test_a_configuration_brings_proxies_with_their_toxics(run: Any, tmp_path: Path) -> None:
    entry = {
        "name": "p",
        "upstream": "127.0.0.1:9",
        "listen": "127.0.0.1:0",
        "toxics": [{"type": "latency", "attributes": {"latency": 7}}],
    }
    proxy = run("--config", config(tmp_path, [entry]), "--seed", "3").get("/proxies/p")
    assert proxy["enabled"] is True
    assert proxy["toxics"][0]["attributes"]["latency"] == 7


def test_it_says_where_it_listens_its_version_and_its_seed(run: Any) -> None:
    running = run("--seed", "42")
    assert running.line.startswith("listening on http://127.0.0.1:")
    assert running.line.rstrip().endswith(" seed 42")
    assert f" version {running.get('/version')['version']} " in running.line


def test_it_ends_when_its_input_closes_if_asked_to(run: Any) -> None:
    running = run("--until-stdin-closes", stdin=subprocess.PIPE)
    running.process.stdin.close()
    running.process.stdin = None
    assert running.process.wait(timeout=5) == 0


def test_the_token_comes_from_the_environment(run: Any) -> None:
    running = run("--token-env", "PROXY_TOKEN_OF_A_TEST", PROXY_TOKEN_OF_A_TEST="t0ken")
    with pytest.raises(urllib.error.HTTPError) as caught:
        running.get("/proxies")
    assert caught.value.code == 401
    caught.value.close()
    assert running.get("/proxies", Authorization="Bearer t0ken") == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "bad request body: EOF"),
        ("{", "bad request body: unexpected EOF"),
        ({"name": "p"}, "bad request body: an array of proxies is wanted"),
        ([{"name": "p"}], "missing required field: upstream at proxy 1"),
        ([{"name": "p", "upstream": "x:1", "listen": "nonsense"}], "missing port in address"),
        (
            [{"name": "p", "upstream": "x:1", "toxics": [{"type": "noop"}, {"type": "nope"}]}],
            "invalid toxic type at toxic 2 ('nope', allowed: bandwidth, ",
        ),
        ([{"name": "p", "upstream": "x:1", "toxics": [{"type": "nope"}]}], " of proxy 'p'"),
        (
            [{"name": "p", "upstream": "x:1", "toxics": [{"type": "bandwidth", "attributes": {"rate": -1}}]}],
            "attribute rate is -1, allowed: 0 or more",
        ),
    ],
)
def test_a_bad_configuration_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, words: str
) -> None:
    assert main(["--port", "0", "--config", config(tmp_path, content)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --config is ")
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "/no/such/file.json"], "--config is '/no/such/file.json', allowed: a readable file"),
        (["--port", "70000"], "--port is 70000, allowed: 0 to 65535"),
        (["--token-env", "NO_SUCH_VARIABLE_HERE"], "--token-env is 'NO_SUCH_VARIABLE_HERE', allowed: a variable"),
        (["--host", "192.0.2.1", "--port", "0"], "cannot listen on 192.0.2.1:0"),
    ],
)
def test_a_bad_command_line_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["--port", "0", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_taken_port_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 2
    assert "cannot listen on 127.0.0.1:" in capsys.readouterr().err


def test_a_bad_configuration_leaves_no_listener_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    entries = [
        {"name": "a", "upstream": "x:1", "listen": f"127.0.0.1:{port}"},
        {"name": "b", "upstream": "x:1", "listen": "nonsense"},
    ]
    assert main(["--port", "0", "--config", config(tmp_path, entries)]) == 2
    with socket.create_server(("127.0.0.1", port)):
        pass


# --- the control server's own manners --------------------------------------------------------------------------------


def raw(url: str, data: bytes) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(data)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_one_connection_carries_several_requests(run: Any) -> None:
    request = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert raw(run().url, request * 2 + last).count(b"HTTP/1.1 200 ") == 3


def test_a_request_that_is_no_http_gets_a_400_and_the_server_lives(run: Any) -> None:
    running = run()
    assert raw(running.url, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert running.get("/proxies") == {}


def test_a_client_that_waits_for_100_gets_it(run: Any) -> None:
    head = b"POST /reset HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    host, port = run().url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(head)
        assert sock.recv(4096).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"{}")
        assert sock.recv(4096).startswith(b"HTTP/1.1 204 ")


def test_a_body_beyond_all_measure_is_a_413(run: Any) -> None:
    head = b"POST /populate HTTP/1.1\r\nHost: x\r\nContent-Length: 6000000\r\n\r\n"
    host, port = run().url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(head)
        sock.setblocking(False)
        sent, reply = 0, b""

        async def talk() -> bytes:
            nonlocal sent
            loop = asyncio.get_running_loop()
            while sent < 4_400_000:
                await loop.sock_sendall(sock, bytes(100_000))
                sent += 100_000
            return await loop.sock_recv(sock, 4096)

        reply = asyncio.run(asyncio.wait_for(talk(), 5))
    assert reply.startswith(b"HTTP/1.1 413 ")
