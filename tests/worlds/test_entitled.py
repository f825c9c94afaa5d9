"""What a caller may see: what an operation asks for, and whether the owner of its key may have all of it."""

from __future__ import annotations

from typing import Any

import pytest

from hardening.history.workload import Operation, alert, signal
from hardening.worlds.shared.client import Credentials, symbols_of
from hardening.worlds.shared.keys import INACTIVE, LIMITED, Secrets


def batch(body: Any) -> Operation:
    return Operation(0, "batch", "POST", "/v2/signals/batch", body=body)


@pytest.mark.parametrize(
    ("operation", "symbols"),
    [
        (signal(0, "AAPL"), {"AAPL"}),
        (alert(0, "MSFT", "k1"), {"MSFT"}),
        (batch({"symbols": ["AAPL", "GOOG"]}), {"AAPL", "GOOG"}),
        (batch({"symbols": "AAPL"}), set()),
        (batch('{"symbols": '), set()),
        (Operation(0, "health", path="/health"), set()),
    ],
    ids=["path", "alert", "batch", "no list", "no JSON", "nothing"],
)
def test_an_operation_asks_for_the_symbols_of_its_path_and_its_body(operation: Operation, symbols: set[str]) -> None:
    assert symbols_of(operation) == symbols


def test_who_may_see_some_may_see_no_others_and_who_may_see_none_nothing_at_all() -> None:
    some, none, everything = (
        Credentials("k", "u", "low", frozenset({"AAPL"})),
        Credentials("k", "u", "low", frozenset()),
        Credentials("k", "u"),
    )
    both = batch({"symbols": ["AAPL", "GOOG"]})
    asked = (signal(0, "AAPL"), signal(0, "GOOG"), both)
    assert [some.allows(one) for one in asked] == [True, False, False]
    assert [none.allows(one) for one in (*asked, batch("?"))] == [False] * 4
    assert [everything.allows(one) for one in asked] == [True] * 3


def test_the_keys_of_a_world_know_what_the_user_service_will_say() -> None:
    keys = Secrets.draw(0).keys.values()
    told = {one.user: one.symbols for one in keys if one.symbols is not None}
    assert told == {**{user: frozenset() for user in INACTIVE}, **{u: frozenset(s) for u, s in LIMITED.items()}}
