"""The HTTP API, request by request, against every Toxiproxy that can be had."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import quote

import pytest
from proxy_driving import Server

pytestmark = pytest.mark.conformance

PROXY = {"name": "p", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0"}


def is_error(reply: Any, status: int, message: str) -> bool:
    return reply.status == status and reply.json == {"error": message, "status": status}


# --- bodies that are no good -----------------------------------------------------------------------------------------

BAD_BODIES = [b"", b" ", b"{", b'{"name":', b"nonsense", b'"text"', b"12", b"true", b"[1]", b"{'name':'x'}"]


@pytest.mark.parametrize("raw", BAD_BODIES, ids=repr)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/proxies"),
        ("POST", "/proxies/p/toxics"),
        ("POST", "/proxies/p/toxics/latency_downstream"),
        ("PATCH", "/proxies/p/toxics/latency_downstream"),
        ("POST", "/proxies/p"),
        ("PATCH", "/proxies/p"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_400_that_says_so(server: Server, method: str, path: str, raw: bytes) -> None:
    server.send("POST", "/proxies", PROXY)
    server.toxic("latency", {})
    before = server.send("GET", "/proxies").json
    reply = server.send(method, path, raw=raw)
    assert reply.status == 400
    assert reply.json["status"] == 400
    assert reply.json["error"].startswith("bad request body: ")
    assert server.send("GET", "/proxies").json == before


@pytest.mark.parametrize("path", ["/proxies", "/proxies/p", "/proxies/p/toxics"])
def test_a_name_must_be_a_string(server: Server, path: str) -> None:
    server.send("POST", "/proxies", PROXY)
    reply = server.send("POST", path, {"name": 1})
    assert reply.status == 400
    assert reply.json["error"].startswith("bad request body: ")


@pytest.mark.parametrize(("raw", "message"), [(b"", "EOF"), (b"{", "unexpected EOF"), (b'{"name":"', "unexpected EOF")])
def test_an_unfinished_body_is_called_an_end_of_file(server: Server, raw: bytes, message: str) -> None:
    assert is_error(server.send("POST", "/proxies", raw=raw), 400, f"bad request body: {message}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 1),
        ("name", []),
        ("upstream", {}),
        ("upstream", True),
        ("listen", 5),
        ("enabled", "yes"),
        ("enabled", 1),
    ],
)
def test_a_proxy_field_of_the_wrong_type_is_a_400(server: Server, field: str, value: object) -> None:
    reply = server.send("POST", "/proxies", {**PROXY, field: value})
    assert reply.status == 400
    assert reply.json["error"].startswith("bad request body: ")
    assert server.send("GET", "/proxies").json == {}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "missing required field: name"),
        (None, "missing required field: name"),
        ({"upstream": "x:1"}, "missing required field: name"),
        ({"name": "", "upstream": "x:1"}, "missing required field: name"),
        ({"name": None, "upstream": "x:1"}, "missing required field: name"),
        ({"name": "p"}, "missing required field: upstream"),
        ({"name": "p", "upstream": ""}, "missing required field: upstream"),
        ({"name": "p", "upstream": None}, "missing required field: upstream"),
    ],
)
def test_a_missing_field_is_named(server: Server, body: Any, message: str) -> None:
    raw = b"null" if body is None else None
    assert is_error(server.send("POST", "/proxies", body, raw=raw), 400, message)


@pytest.mark.parametrize("name", ["caf\u00e9", "\U0001f600", "a b", 'quo"te', "back\\slash"])
def test_a_name_may_be_any_text(server: Server, name: str) -> None:
    reply = server.send("POST", "/proxies", {**PROXY, "name": name})
    assert (reply.status, reply.json["name"]) == (201, name)
    assert list(server.send("GET", "/proxies").json) == [name]
    assert server.send("DELETE", f"/proxies/{quote(name, safe='')}").status == 204


def test_half_a_surrogate_pair_becomes_a_replacement_character(server: Server) -> None:
    reply = server.send("POST", "/proxies", raw=b'{"name":"x\\ud800","upstream":"x:1","enabled":false}')
    assert (reply.status, reply.json["name"]) == (201, "x\ufffd")
    assert server.send("DELETE", f"/proxies/{quote(reply.json['name'], safe='')}").status == 204


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"enabled":' + b"9" * 10_000 + b"}"], ids=["deep", "long"])
def test_a_monstrous_body_is_a_400(server: Server, raw: bytes) -> None:
    assert server.send("POST", "/proxies", raw=raw).status == 400


# --- proxies ---------------------------------------------------------------------------------------------------------


def test_a_created_proxy_is_a_201_with_its_real_port(server: Server) -> None:
    reply = server.send("POST", "/proxies", PROXY)
    assert reply.status == 201
    assert {key: reply.json[key] for key in ("name", "upstream", "enabled", "toxics")} == {
        "name": "p",
        "upstream": "127.0.0.1:9",
        "enabled": True,
        "toxics": [],
    }
    host, _, port = reply.json["listen"].rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


@pytest.mark.parametrize("raw_tail", [b"", b" ", b"\n", b" trailing", b"{}"])
def test_only_the_first_json_value_counts(server: Server, raw_tail: bytes) -> None:
    raw = b'{"name":"p","upstream":"x:1","enabled":false}' + raw_tail
    assert server.send("POST", "/proxies", raw=raw).status == 201


@pytest.mark.parametrize("spelling", ["name", "NAME", "Name", "nAmE"])
def test_field_names_ignore_case(server: Server, spelling: str) -> None:
    reply = server.send("POST", "/proxies", {spelling: "p", "UPSTREAM": "x:1", "Enabled": False})
    assert (reply.status, reply.json["name"], reply.json["enabled"]) == (201, "p", False)


def test_a_name_is_taken_once(server: Server) -> None:
    server.send("POST", "/proxies", PROXY)
    assert is_error(server.send("POST", "/proxies", PROXY), 409, "proxy already exists")


@pytest.mark.parametrize("listen", ["", "nonsense", "127.0.0.1:0", "256.1.1.1:1"])
def test_a_disabled_proxy_keeps_its_address_unread(server: Server, listen: str) -> None:
    reply = server.send("POST", "/proxies", {**PROXY, "listen": listen, "enabled": False})
    assert (reply.status, reply.json["listen"], reply.json["enabled"]) == (201, listen, False)


@pytest.mark.parametrize(
    ("listen", "message"),
    [
        ("nonsense", "listen tcp: address nonsense: missing port in address"),
        ("127.0.0.1:99999", "listen tcp: address 99999: invalid port"),
        ("127.0.0.1", "listen tcp: address 127.0.0.1: missing port in address"),
        ("1:2:3", "listen tcp: address 1:2:3: too many colons in address"),
        ("192.0.2.1:0", "listen tcp 192.0.2.1:0: bind: cannot assign requested address"),
    ],
)
def test_an_address_that_cannot_be_bound_is_a_500_with_the_reason(server: Server, listen: str, message: str) -> None:
    assert is_error(server.send("POST", "/proxies", {**PROXY, "listen": listen}), 500, message)
    assert server.send("GET", "/proxies").json == {}


def test_a_taken_port_is_a_500_with_the_words_of_the_system(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        reply = server.send("POST", "/proxies", {**PROXY, "listen": listen})
    assert is_error(reply, 500, f"listen tcp {listen}: bind: address already in use")


@pytest.mark.parametrize("method", ["POST", "PATCH"])
class TestUpdateOfAProxy:
    def test_an_unknown_one_is_a_404(self, server: Server, method: str) -> None:
        assert is_error(server.send(method, "/proxies/p", {}), 404, "proxy not found")

    def test_the_port_survives_disable_and_enable(self, server: Server, method: str) -> None:
        listen = server.send("POST", "/proxies", PROXY).json["listen"]
        down = server.send(method, "/proxies/p", {"enabled": False})
        up = server.send(method, "/proxies/p", {"enabled": True})
        assert (down.status, down.json["enabled"], down.json["listen"]) == (200, False, listen)
        assert (up.status, up.json["enabled"], up.json["listen"]) == (200, True, listen)

    def test_a_new_name_is_ignored(self, server: Server, method: str) -> None:
        server.send("POST", "/proxies", PROXY)
        assert server.send(method, "/proxies/p", {"name": "other"}).json["name"] == "p"
        assert list(server.send("GET", "/proxies").json) == ["p"]

    def test_toxics_survive_a_new_upstream(self, server: Server, method: str) -> None:
        server.send("POST", "/proxies", PROXY)
        server.toxic("latency", {"latency": 5})
        reply = server.send(method, "/proxies/p", {"upstream": "127.0.0.1:10"})
        assert (reply.json["upstream"], reply.json["enabled"]) == ("127.0.0.1:10", True)
        assert [toxic["name"] for toxic in reply.json["toxics"]] == ["latency_downstream"]

    def test_an_empty_object_changes_nothing(self, server: Server, method: str) -> None:
        before = server.send("POST", "/proxies", PROXY).json
        assert server.send(method, "/proxies/p", {}).json == before

    @pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:99999"])
    def test_an_address_that_cannot_be_read_is_a_500_and_changes_nothing(
        self, server: Server, method: str, listen: str
    ) -> None:
        before = server.send("POST", "/proxies", PROXY).json
        assert server.send(method, "/proxies/p", {"listen": listen}).status == 500
        assert server.send("GET", "/proxies/p").json == before

    def test_an_empty_address_differs_from_any_that_is_written(self, server: Server, method: str) -> None:
        server.send("POST", "/proxies", {**PROXY, "enabled": False})
        reply = server.send(method, "/proxies/p", {"listen": ""})
        assert (reply.status, reply.json["listen"], reply.json["enabled"]) == (200, "", False)

    def test_a_taken_port_leaves_the_proxy_down(self, server: Server, method: str) -> None:
        server.send("POST", "/proxies", PROXY)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            reply = server.send(method, "/proxies/p", {"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        assert reply.status == 500
        assert server.send("GET", "/proxies/p").json["enabled"] is False


def test_delete_is_a_204_and_then_a_404(server: Server) -> None:
    server.send("POST", "/proxies", PROXY)
    assert server.send("DELETE", "/proxies/p").status == 204
    assert is_error(server.send("DELETE", "/proxies/p"), 404, "proxy not found")
    assert is_error(server.send("GET", "/proxies/p"), 404, "proxy not found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/proxies/q"),
        ("GET", "/proxies/q/toxics"),
        ("POST", "/proxies/q/toxics"),
        ("GET", "/proxies/q/toxics/t"),
        ("POST", "/proxies/q/toxics/t"),
        ("PATCH", "/proxies/q/toxics/t"),
        ("DELETE", "/proxies/q/toxics/t"),
    ],
)
def test_an_unknown_proxy_is_a_404_everywhere(server: Server, method: str, path: str) -> None:
    assert is_error(server.send(method, path, {}), 404, "proxy not found")


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_an_unknown_toxic_is_a_404(server: Server, method: str) -> None:
    server.send("POST", "/proxies", PROXY)
    assert is_error(server.send(method, "/proxies/p/toxics/t", {}), 404, "toxic not found")


# --- routes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/proxies/", "/proxies/p/", "/proxies/p/toxics/", "/proxies/p/q", "/proxies/p/toxics/t/u"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_a_404(server: Server, method: str, path: str) -> None:
    reply = server.send(method, path)
    assert (reply.status, reply.text) == (404, "404 page not found\n")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/proxies"),
        ("DELETE", "/proxies"),
        ("PATCH", "/proxies"),
        ("HEAD", "/proxies"),
        ("OPTIONS", "/proxies"),
        ("PUT", "/proxies/p"),
        ("DELETE", "/proxies/p/toxics"),
        ("PUT", "/proxies/p/toxics/t"),
        ("GET", "/reset"),
        ("GET", "/populate"),
        ("POST", "/version"),
        ("DELETE", "/version"),
    ],
)
def test_a_method_that_a_path_has_not_is_a_405(server: Server, method: str, path: str) -> None:
    assert server.send(method, path).status == 405


@pytest.mark.parametrize("agent", ["Mozilla/5.0 (X11)", "Mozilla/4.0", "Mozilla/"])
@pytest.mark.parametrize("path", ["/proxies", "/version", "/proxies/p"])
def test_a_browser_is_turned_away(server: Server, agent: str, path: str) -> None:
    reply = server.send("GET", path, user_agent=agent)
    assert (reply.status, reply.text) == (403, "User agent not allowed\n")


@pytest.mark.parametrize("agent", ["mozilla/5.0", "curl/8 Mozilla/5.0", "toxiproxy-cli", ""])
def test_other_agents_are_not(server: Server, agent: str) -> None:
    assert server.send("GET", "/version", user_agent=agent).status == 200


def test_version_is_an_object_with_a_string(server: Server) -> None:
    reply = server.send("GET", "/version")
    assert list(reply.json) == ["version"]
    assert isinstance(reply.json["version"], str)


@pytest.mark.parametrize("path", ["//proxies", "/./proxies", "/x/../proxies"])
def test_a_path_that_is_not_clean_is_sent_to_the_clean_one(server: Server, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    address = server.url.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((address[0], int(address[1])), timeout=5) as sock:
        sock.sendall(head)
        reply = b"".join(iter(lambda: sock.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 301 ")
    assert b"location: /proxies\r\n" in reply.lower()


# --- populate and reset ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"", b"{", b"{}", b'"x"', b"5", b"[5]", b'["x"]', b'[{"name":5}]'])
def test_a_populate_body_that_cannot_be_read_creates_nothing(server: Server, raw: bytes) -> None:
    reply = server.send("POST", "/populate", raw=raw)
    assert reply.status == 400
    assert reply.json["error"].startswith("bad request body: ")
    assert not reply.json["proxies"]


@pytest.mark.parametrize("field", ["name", "upstream"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_populate_checks_all_before_it_creates_any(server: Server, field: str, number: int) -> None:
    entries: list[dict[str, Any]] = [{**PROXY, "name": f"p{n}"} for n in (1, 2, 3)]
    del entries[number - 1][field]
    reply = server.send("POST", "/populate", entries)
    assert reply.status == 400
    assert reply.json["error"] == f"missing required field: {field} at proxy {number}"
    assert server.send("GET", "/proxies").json == {}


def test_populate_is_a_201_in_the_given_order(server: Server) -> None:
    reply = server.send("POST", "/populate", [{**PROXY, "name": "b"}, {**PROXY, "name": "a", "enabled": False}])
    assert reply.status == 201
    assert [(proxy["name"], proxy["enabled"]) for proxy in reply.json["proxies"]] == [("b", True), ("a", False)]


def test_populate_leaves_the_same_address_alone_with_its_toxics(server: Server) -> None:
    listen = server.send("POST", "/proxies", PROXY).json["listen"]
    server.toxic("latency", {"latency": 9})
    reply = server.send("POST", "/populate", [{**PROXY, "listen": listen, "enabled": False}])
    assert reply.json["proxies"][0]["enabled"] is True
    assert len(reply.json["proxies"][0]["toxics"]) == 1


def test_populate_replaces_another_address_without_its_toxics(server: Server) -> None:
    listen = server.send("POST", "/proxies", PROXY).json["listen"]
    server.toxic("latency", {"latency": 9})
    reply = server.send("POST", "/populate", [{**PROXY, "listen": listen, "upstream": "127.0.0.1:10"}])
    assert reply.json["proxies"][0]["toxics"] == []
    assert reply.json["proxies"][0]["upstream"] == "127.0.0.1:10"


def test_populate_stops_at_a_port_that_is_taken_and_keeps_what_it_made(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        entries = [{**PROXY, "name": "a"}, {**PROXY, "name": "b", "listen": listen}, {**PROXY, "name": "c"}]
        reply = server.send("POST", "/populate", entries)
    assert reply.status == 500
    assert [proxy["name"] for proxy in reply.json["proxies"]] == ["a"]
    assert list(server.send("GET", "/proxies").json) == ["a"]


def test_reset_enables_all_and_removes_all_toxics(server: Server) -> None:
    server.send("POST", "/proxies", {**PROXY, "enabled": False})
    server.send("POST", "/proxies", {**PROXY, "name": "q"})
    server.toxic("latency", {})
    server.toxic("timeout", {}, "upstream")
    assert server.send("POST", "/reset").status == 204
    assert [(proxy["enabled"], proxy["toxics"]) for proxy in server.send("GET", "/proxies").json.values()] == [
        (True, []),
        (True, []),
    ]
