"""How tests drive a Toxiproxy: synchronous requests, sockets on both ends, a loop in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


class LoopThread:
    """An event loop in a thread, for servers that outlive a test."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@dataclass
class Reply:
    status: int
    json: Any
    text: str


class Server:
    """A Toxiproxy under test."""

    def __init__(self, flavour: str, url: str) -> None:
        self.flavour = flavour
        self.url = url
        # A plain connection, kept alive: the suite sends thousands of requests.
        self._client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)

    def send(self, method: str, path: str, body: Any = None, raw: bytes | None = None, **headers: str) -> Reply:
        content = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self._client.request(method, path, body=content, headers=named)
            response = self._client.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):  # closed by the server after a minute of silence
            self._client.close()
            self._client.request(method, path, body=content, headers=named)
            response = self._client.getresponse()
        text = response.read().decode()
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = None
        return Reply(response.status, parsed, text)

    def clear(self) -> None:
        for name in self.send("GET", "/proxies").json:
            self.send("DELETE", f"/proxies/{quote(name, safe='')}")

    def proxy(self, upstream: str, name: str = "p", **more: Any) -> tuple[str, int]:
        """Create a proxy; its address."""
        reply = self.send("POST", "/proxies", {"name": name, "upstream": upstream, "listen": "127.0.0.1:0", **more})
        assert reply.status == 201, reply.text
        host, _, port = reply.json["listen"].rpartition(":")
        return host, int(port)

    def toxic(self, kind: str, attributes: dict[str, Any], stream: str = "downstream", **more: Any) -> str:
        """Add a toxic to the proxy ``p``; its name."""
        reply = self.send(
            "POST", "/proxies/p/toxics", {"type": kind, "stream": stream, "attributes": attributes, **more}
        )
        assert reply.status == 200, reply.text
        return str(reply.json["name"])

    def close(self) -> None:
        self._client.close()


class FarEnd:
    """A TCP server that the test itself speaks for: ``accept`` gives the proxied connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.settimeout(5)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def accept(self) -> socket.socket:
        sock, _ = self._listener.accept()
        sock.settimeout(5)
        return sock

    def close(self) -> None:
        self._listener.close()


class Pair:
    """Client and upstream side of one proxied connection."""

    def __init__(self, address: tuple[str, int], far_end: FarEnd) -> None:
        self.client = socket.create_connection(address, timeout=5)
        self.upstream = far_end.accept()

    def close(self) -> None:
        self.client.close()
        self.upstream.close()


def read_exactly(sock: socket.socket, count: int) -> bytes:
    """That many bytes; fewer when the peer closes before."""
    parts = bytearray()
    while len(parts) < count:
        part = sock.recv(min(65536, count - len(parts)))
        if not part:
            break
        parts += part
    return bytes(parts)


def is_silent(sock: socket.socket, seconds: float) -> bool:
    """True when neither a byte nor the end comes for so long."""
    sock.settimeout(seconds)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(5)
    return False


def eventually(condition: Any, deadline_s: float = 5.0) -> bool:
    """Poll until it holds."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def send_aside(sock: socket.socket, data: bytes) -> threading.Thread:
    """Send without waiting for it to be taken."""

    def send() -> None:
        with contextlib.suppress(OSError):  # the test may end the connection
            sock.sendall(data)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def since(start: float) -> float:
    return time.monotonic() - start


def ends(pair: Pair, stream: str) -> tuple[socket.socket, socket.socket]:
    """(source, sink) of a direction."""
    return (pair.client, pair.upstream) if stream == "upstream" else (pair.upstream, pair.client)
