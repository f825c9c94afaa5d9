"""Hypothesis strategies for secrets, the places where they hide, and market data that only looks like one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hardening.claims.secret_forms import OWN_PIECE_MIN
from hardening.history.workload import Operation, Workload, signal
from hardening.worlds.shared import leaky_library
from hardening.worlds.shared.keys import Secrets

Canary = dict[str, str]
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


def _text(least: int, most: int) -> SearchStrategy[str]:
    return st.text(_LETTERS, min_size=least, max_size=most)


@st.composite
def cards(draw: st.DrawFn) -> str:
    """Card numbers of known issuers that pass Luhn's check."""
    prefix = draw(st.sampled_from(["4", "51", "55", "2221", "34", "37", "6011"]))
    length = 15 if prefix in {"34", "37"} else 16
    body = prefix + "".join(str(draw(st.integers(0, 9))) for _ in range(length - len(prefix) - 1))
    total = 0
    for place, digit in enumerate(reversed(body)):
        double = int(digit) * (2 if place % 2 == 0 else 1)
        total += double - 9 if double > 9 else double
    return body + str(-total % 10)


def canaries() -> SearchStrategy[Canary]:
    """A secret of any kind, as it stands in a history's header."""
    kinds: Mapping[str, SearchStrategy[str]] = {
        "token": _text(16, 40).map("tok_{}".format),
        "password": _text(12, 20).map("hunter-{}".format),
        "api_key": _text(24, 40).map("sk_{}".format),
        "card": cards(),
        "email": _text(3, 12).map("{}@example.org".format),
        "jwt": st.tuples(_text(20, 40), _text(43, 43)).map(lambda p: f"eyJhbGciOiJIUzI1NiJ9.eyJ{p[0]}.{p[1]}"),
        "url": _text(12, 20).map("postgresql://app:{}@db.internal:5432/prices".format),
        "phone": st.integers(10**7, 10**8 - 1).map("+49 30 {}".format),
        "pem": _text(48, 64).map("MIIE{}".format),
        # With both at its ends: Hypothesis also draws words of the code and bare numbers, which are no secrets.
        "bearer": _text(20, 48).map("k7{}z3".format),
        "url_password": _text(12, 24).map("m4{}x9".format),
    }
    return st.one_of(*(value.map(lambda v, kind=kind: _canary(kind, v)) for kind, value in kinds.items()))  # type: ignore[misc]


def _canary(kind: str, value: str) -> Canary:
    return {"name": f"drawn_{kind}", "kind": kind, "value": value}


def own_secrets(seed: int = 0) -> list[Canary]:
    """The service's own in a world of this seed."""
    return [canary for canary in Secrets.draw(seed).canaries() if canary["kind"] == "own"]


@st.composite
def places(draw: st.DrawFn, canary: Canary) -> dict[str, Any]:
    """One secret in what a library logs: bare, named, encoded, nested, in another system's error message."""
    kind, value = canary["kind"], canary["value"]
    shown = leaky_library.framed(kind, value, draw(st.sampled_from(["password={}", "token: {}", "secret={}"])))
    wraps = {
        "sentence": f"could not reach the peer with {shown}, trying again",
        "foreign": f"ERR invalid credential near '{shown}' at line 1",
        "query": f"GET https://example.org/v1/things?page=2&api_key={quote(value, safe='')}&limit=5 failed",
        "json": "reply was " + json.dumps({"user": {"password": value, "roles": ["a", "b"]}}),
        "twice": "reply was " + json.dumps(json.dumps({"password": value})),
        "header": f"> Authorization: Bearer {value}\r\n> Accept: */*",
    }
    allowed = sorted(wraps) if kind not in {"email", "phone", "card", "url"} else ["foreign", "json", "sentence"]
    text = wraps[draw(st.sampled_from(allowed))]
    return {"how": draw(st.sampled_from(leaky_library.WAYS)), "parts": [text]}


@st.composite
def own_pieces(draw: st.DrawFn) -> dict[str, Any]:
    """One of the service's own secrets, cut short or split over the fields of a record."""
    value = draw(st.sampled_from(own_secrets()))["value"]
    if draw(st.booleans()):
        cut = draw(st.integers(OWN_PIECE_MIN, len(value)))
        return {"how": draw(st.sampled_from(leaky_library.WAYS)), "parts": [f"sent {value[:cut]}..."]}
    cut = draw(st.integers(6, len(value) - 6))
    return {"how": "extra", "parts": [value[:cut], value[cut:]]}


def candles() -> SearchStrategy[str]:
    """Harmless texts that look like secrets: prices, volumes, ids, digests, timestamps."""
    price = st.floats(0.0001, 99_999.0).map(lambda x: round(x, 4))
    bar = st.tuples(st.integers(1_500_000_000, 1_999_999_999), price, price, st.integers(0, 10**10))
    return st.one_of(
        bar.map(lambda b: json.dumps({"t": b[0], "o": b[1], "c": b[2], "v": b[3]}, separators=(",", ":"))),
        st.uuids(version=4).map("request {} done".format),
        st.binary(min_size=32, max_size=32).map(lambda b: f"sha256:{b.hex()}"),
        st.integers(1_700_000_000_000, 1_799_999_999_999).map("generation 17 epoch {} bars 200".format),
        st.datetimes().map(lambda d: f"at {d.isoformat()}+00:00"),
    )


def _requests(hidden: Sequence[Canary]) -> Workload:
    """The same secrets where a client can put them: query, header, body, path; with wrong keys and scopes beside."""
    asked: list[Operation] = []
    for number, canary in enumerate(hidden):
        value, at_s = canary["value"], 0.6 + number * 0.3
        encoded = quote(value, safe="")
        asked += [
            signal(at_s, "AAPL", headers={"X-Trace": f"password={encoded}"}),
            Operation(at_s + 0.05, "signal", path=f"/v2/signals/AAPL?api_key={encoded}&timeframe=1m", key="demo"),
            Operation(at_s + 0.1, "signal", path=f"/no/such/thing?password={encoded}", key="demo"),
            Operation(at_s + 0.15, "alert", "POST", "/v2/alerts", "demo", body={"symbol": "AAPL", "password": value}),
            Operation(at_s + 0.2, "signal", path="/v2/signals/AAPL", headers={"X-API-Key": encoded}, sends="wrong"),
            Operation(at_s + 0.25, "admin", path="/admin/state", key="demo", sends="other_scope"),
        ]
    return Workload.of(asked)


@st.composite
def leaks(draw: st.DrawFn) -> dict[str, Any]:
    """Fields of a ``Scenario`` in which secrets hide: its workload, environment, canaries and texts to keep."""
    hidden = draw(st.lists(canaries(), min_size=1, max_size=3, unique_by=lambda one: one["name"]))
    said = [draw(places(canary)) for canary in hidden]
    said += draw(st.lists(own_pieces(), max_size=2))
    keep = tuple(draw(st.lists(candles(), min_size=1, max_size=3, unique=True)))
    environment = leaky_library.variables(keep=keep, said=said)
    return {"workload": _requests(hidden), "canaries": tuple(hidden), "keep": keep, "environment": environment}
