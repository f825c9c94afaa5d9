"""Toxics in the HTTP API, request by request, against every Toxiproxy that can be had."""

from __future__ import annotations

from typing import Any

import pytest
from proxy_driving import Server

pytestmark = pytest.mark.conformance

ATTRIBUTES = {
    "latency": ("latency", "jitter"),
    "bandwidth": ("rate",),
    "slow_close": ("delay",),
    "timeout": ("timeout",),
    "reset_peer": ("timeout",),
    "slicer": ("average_size", "size_variation", "delay"),
    "limit_data": ("bytes",),
    "noop": (),
}
SLICER = {"average_size": 64, "size_variation": 8, "delay": 10}
EACH_ATTRIBUTE = [(kind, name) for kind, names in ATTRIBUTES.items() for name in names]
NO_INTEGERS: list[Any] = ["12", "", True, False, 1.5, 100.0, [], [1], {}, 2**63, -(2**63) - 1]
PROXY = {"name": "p", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0"}


def start_of(kind: str) -> dict[str, Any]:
    """Attributes that every server takes."""
    return dict(SLICER) if kind == "slicer" else {}


def is_error(reply: Any, status: int, message: str) -> bool:
    return reply.status == status and reply.json == {"error": message, "status": status}


# --- toxics ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_defaults_of_a_toxic(server: Server, kind: str) -> None:
    server.send("POST", "/proxies", PROXY)
    reply = server.send("POST", "/proxies/p/toxics", {"type": kind, "attributes": start_of(kind)})
    attributes = {**dict.fromkeys(ATTRIBUTES[kind], 0), **start_of(kind)}
    wanted = {
        "attributes": attributes,
        "name": f"{kind}_downstream",
        "type": kind,
        "stream": "downstream",
        "toxicity": 1,
    }
    assert (reply.status, reply.json) == (200, wanted)
    assert server.send("GET", f"/proxies/p/toxics/{kind}_downstream").json == wanted
    assert server.send("GET", "/proxies/p/toxics").json == [wanted]
    assert server.send("GET", "/proxies/p").json["toxics"] == [wanted]


def test_toxics_of_none_is_an_empty_array(server: Server) -> None:
    server.send("POST", "/proxies", PROXY)
    assert server.send("GET", "/proxies/p/toxics").text.strip() == "[]"


@pytest.mark.parametrize(("kind", "name"), EACH_ATTRIBUTE)
@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
def test_an_attribute_must_be_an_integer_on_create(server: Server, kind: str, name: str, value: object) -> None:
    server.send("POST", "/proxies", PROXY)
    body = {"type": kind, "attributes": {**start_of(kind), name: value}}
    reply = server.send("POST", "/proxies/p/toxics", body)
    assert reply.status == 400
    assert reply.json["error"].startswith("bad request body: ")
    assert server.send("GET", "/proxies/p/toxics").json == []


@pytest.mark.parametrize(("kind", "name"), EACH_ATTRIBUTE)
@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
def test_an_attribute_must_be_an_integer_on_update(server: Server, kind: str, name: str, value: object) -> None:
    server.send("POST", "/proxies", PROXY)
    toxic = server.toxic(kind, start_of(kind))
    before = server.send("GET", "/proxies/p/toxics").json
    reply = server.send("PATCH", f"/proxies/p/toxics/{toxic}", {"attributes": {name: value}})
    assert reply.status == 400
    assert reply.json["error"].startswith("bad request body: ")
    assert server.send("GET", "/proxies/p/toxics").json == before


@pytest.mark.parametrize(("kind", "name"), EACH_ATTRIBUTE)
@pytest.mark.parametrize("value", [1, 7, 1000])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_an_update_merges_one_attribute(server: Server, kind: str, name: str, value: int, method: str) -> None:
    server.send("POST", "/proxies", PROXY)
    start = {"average_size": 2000, "size_variation": 10, "delay": 10} if kind == "slicer" else {}
    if (name, value) == ("size_variation", 1000) or (name == "average_size"):
        start = {"average_size": 2000, "size_variation": 1, "delay": 10}
    toxic = server.toxic(kind, start)
    reply = server.send(method, f"/proxies/p/toxics/{toxic}", {"attributes": {name: value}})
    assert reply.status == 200
    assert reply.json["attributes"] == {**dict.fromkeys(ATTRIBUTES[kind], 0), **start, name: value}


@pytest.mark.parametrize("attributes", [None, {}, {"unknown": 1}, {"LATENCY": None}])
def test_attributes_that_say_nothing_leave_zeros(server: Server, attributes: object) -> None:
    server.send("POST", "/proxies", PROXY)
    reply = server.send("POST", "/proxies/p/toxics", {"type": "latency", "attributes": attributes})
    assert (reply.status, reply.json["attributes"]) == (200, {"latency": 0, "jitter": 0})


@pytest.mark.parametrize("spelling", ["latency", "Latency", "LATENCY"])
def test_names_of_attributes_ignore_case(server: Server, spelling: str) -> None:
    server.send("POST", "/proxies", PROXY)
    reply = server.send("POST", "/proxies/p/toxics", {"type": "latency", "attributes": {spelling: 7}})
    assert reply.json["attributes"]["latency"] == 7


@pytest.mark.parametrize("attributes", [5, "x", [], True])
def test_attributes_must_be_an_object(server: Server, attributes: object) -> None:
    server.send("POST", "/proxies", PROXY)
    reply = server.send("POST", "/proxies/p/toxics", {"type": "latency", "attributes": attributes})
    assert reply.status == 400


@pytest.mark.parametrize("stream", ["upstream", "downstream", "UPSTREAM", "Downstream", "uPsTrEaM"])
def test_the_case_of_stream_does_not_matter_and_is_kept(server: Server, stream: str) -> None:
    server.send("POST", "/proxies", PROXY)
    reply = server.send("POST", "/proxies/p/toxics", {"type": "latency", "stream": stream})
    assert (reply.status, reply.json["stream"], reply.json["name"]) == (200, stream, f"latency_{stream}")


@pytest.mark.parametrize("stream", ["", "up", "sideways", "upstream ", "both"])
def test_another_stream_is_a_400(server: Server, stream: str) -> None:
    server.send("POST", "/proxies", PROXY)
    reply = server.send("POST", "/proxies/p/toxics", {"type": "latency", "stream": stream})
    assert is_error(reply, 400, "stream was invalid, can be either upstream or downstream")


@pytest.mark.parametrize("kind", ["", "Latency", "down", "nope", None])
def test_an_unknown_type_is_a_400(server: Server, kind: str | None) -> None:
    server.send("POST", "/proxies", PROXY)
    assert is_error(server.send("POST", "/proxies/p/toxics", {"type": kind}), 400, "invalid toxic type")


@pytest.mark.parametrize("second", ["upstream", "downstream"])
def test_names_are_unique_across_both_streams(server: Server, second: str) -> None:
    server.send("POST", "/proxies", PROXY)
    server.toxic("latency", {}, "upstream", name="same")
    reply = server.send("POST", "/proxies/p/toxics", {"type": "timeout", "stream": second, "name": "same"})
    assert is_error(reply, 409, "toxic already exists")


@pytest.mark.parametrize("toxicity", [0, 0.25, 0.5, 1, 2, -1])
def test_toxicity_is_kept_as_given(server: Server, toxicity: float) -> None:
    server.send("POST", "/proxies", PROXY)
    name = server.toxic("latency", {}, toxicity=toxicity)
    assert server.send("GET", f"/proxies/p/toxics/{name}").json["toxicity"] == toxicity
    assert server.send("PATCH", f"/proxies/p/toxics/{name}", {"toxicity": 0.75}).json["toxicity"] == 0.75
    assert server.send("PATCH", f"/proxies/p/toxics/{name}", {}).json["toxicity"] == 0.75


@pytest.mark.parametrize("toxicity", ["1", True, [], {}, 1e39])
def test_toxicity_must_be_a_number(server: Server, toxicity: object) -> None:
    server.send("POST", "/proxies", PROXY)
    reply = server.send("POST", "/proxies/p/toxics", {"type": "latency", "toxicity": toxicity})
    assert reply.status == 400


def test_an_update_ignores_name_type_and_stream(server: Server) -> None:
    server.send("POST", "/proxies", PROXY)
    name = server.toxic("latency", {"latency": 3})
    reply = server.send("PATCH", f"/proxies/p/toxics/{name}", {"name": "x", "type": "timeout", "stream": "upstream"})
    assert (reply.json["name"], reply.json["type"], reply.json["stream"]) == (name, "latency", "downstream")


def test_toxics_are_listed_upstream_first_and_in_order(server: Server) -> None:
    server.send("POST", "/proxies", PROXY)
    for name, stream in (("a", "downstream"), ("b", "upstream"), ("c", "downstream"), ("d", "upstream")):
        server.toxic("noop", {}, stream, name=name)
    assert [toxic["name"] for toxic in server.send("GET", "/proxies/p/toxics").json] == ["b", "d", "a", "c"]
    assert server.send("DELETE", "/proxies/p/toxics/d").status == 204
    assert [toxic["name"] for toxic in server.send("GET", "/proxies/p/toxics").json] == ["b", "a", "c"]
