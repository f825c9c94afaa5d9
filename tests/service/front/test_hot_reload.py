from __future__ import annotations

from typing import Any

import pytest
from front_world import Events, settings

from signal_service.config.hot_reload import SettingsStore
from signal_service.config.settings import NEEDS_RESTART, Settings, SettingsError


class File:
    """A configuration file: what it holds now, or the error that reading it gives."""

    def __init__(self, holds: Settings) -> None:
        self.holds: Settings | SettingsError = holds

    def __call__(self) -> Settings:
        if isinstance(self.holds, SettingsError):
            raise self.holds
        return self.holds


@pytest.fixture
def world() -> tuple[File, Events, SettingsStore]:
    file, events = File(settings()), Events()
    return file, events, SettingsStore(settings(), file, events)


def test_a_reload_swaps_the_whole_and_counts_up(world: Any):
    file, events, store = world
    file.holds = settings(budgets={"in_flight": 7})
    told: list[tuple[int, int]] = []
    store.subscribe(lambda old, new: told.append((old.budgets.in_flight, new.budgets.in_flight)))
    assert store.reload("sighup").outcome == "applied"
    assert (store.generation, store.current.budgets.in_flight, told) == (2, 7, [(50, 7)])
    told_of = {"generation": 2, "digest": store.current.digest(), "changed": {"budgets.in_flight": 7}}
    assert events.named("settings")[-1] == told_of
    assert store.reload("file").outcome == "unchanged"
    assert store.generation == 2


DANGEROUS: list[tuple[dict[str, Any], str]] = [
    ({"debug": True}, "debug"),
    ({"cors_origins": ["*"]}, "cors_origins"),
    ({"api_keys": []}, "api_keys"),
    ({"service_token": ""}, "service_token"),
    ({"redis_url": "redis://elsewhere/0"}, "redis_url"),
    ({"host": "0.0.0.0"}, "host"),
    ({"environment": "development", "debug": True}, "environment"),
    ({"downstreams": {"ticker": {"url": "http://evil"}}}, "downstreams.ticker.url"),
]


@pytest.mark.parametrize(("overrides", "field"), DANGEROUS)
def test_a_dangerous_reload_is_refused_by_name_and_changes_nothing(world: Any, overrides: dict[str, Any], field: str):
    file, events, store = world
    before = store.current
    file.holds = settings(**overrides)
    change = store.reload("admin:root")
    assert change.outcome == "refused"
    assert store.current is before
    assert store.generation == 1
    assert events.named("reload")[-1]["field"] == field
    assert events.named("reload")[-1]["actor"] == "admin:root"


def test_an_invalid_reload_is_refused_and_changes_nothing(world: Any):
    file, events, store = world
    before = store.current
    file.holds = SettingsError(["budgets.in_flight: must be at least 1"])
    assert store.reload("file").outcome == "refused"
    assert store.current is before
    assert events.named("reload")[-1]["field"] == "budgets.in_flight"


def test_a_rollback_leads_back_step_by_step(world: Any):
    file, _, store = world
    for in_flight in (7, 8):
        file.holds = settings(budgets={"in_flight": in_flight})
        store.reload("sighup")
    found = []
    while store.rollback("admin:root").outcome == "rolled_back":
        found.append((store.generation, store.current.budgets.in_flight))
    assert found == [(4, 7), (5, 50)]


def test_nothing_changes_while_it_cannot_be_audited(world: Any):
    file, _, store = world
    file.holds = settings(budgets={"in_flight": 7})
    store.may_change = lambda: False
    change = store.reload("sighup")
    assert (change.outcome, change.problems[0].split(":")[0], store.generation) == ("refused", "audit", 1)


def test_a_part_that_cannot_take_the_new_settings_has_the_swap_undone(world: Any, caplog: pytest.LogCaptureFixture):
    file, _, store = world
    held = [store.current.budgets.in_flight]

    def broken(_: Settings, new: Settings) -> None:
        if new.budgets.in_flight == 7:
            raise RuntimeError("cannot")

    store.subscribe(lambda _, new: held.append(new.budgets.in_flight))
    store.subscribe(broken)
    file.holds = settings(budgets={"in_flight": 7})
    assert store.reload("sighup").outcome == "refused"
    assert held == [50, 7, 50]
    assert store.current.budgets.in_flight == 50
    assert "could not take" in caplog.text


def test_a_reload_leaves_the_settings_that_a_request_holds_as_they_were(world: Any):
    file, _, store = world
    held = store.current
    file.holds = settings(budgets={"in_flight": 7})
    store.reload("sighup")
    assert (held.budgets.in_flight, store.current.budgets.in_flight) == (50, 7)


def test_every_field_that_needs_a_restart_exists():
    for name in NEEDS_RESTART:
        part: Any = settings()
        for step in name.split("."):
            part = getattr(part, step)
