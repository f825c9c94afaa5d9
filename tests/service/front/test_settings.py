from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from front_world import settings
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from signal_service.config.settings import Settings, SettingsError, build, load


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"budgets": {"in_flight": 0}}, "budgets.in_flight"),
        ({"budgets": {"in_flite": 5}}, "budgets.in_flite"),
        ({"budgets": {"request_s": float("inf")}}, "budgets.request_s"),
        ({"budgets": {"accepted_per_window": -5}}, "budgets.accepted_per_window"),
        ({"downstreams": {"ticker": {"breaker": {"failures": 0}}}}, "downstreams.ticker.breaker.failures"),
        ({"downstreams": {"user": {"breaker": {"open_s": -1}}}}, "downstreams.user.breaker.open_s"),
        ({"downstreams": {"alert": {"url": "ftp://x"}}}, "downstreams.alert.url"),
        ({"downstreams": {"comms": {"url": "http://u:p@x"}}}, "downstreams.comms.url"),
        ({"downstreams": {"ticker": {"retries": 99}}}, "downstreams.ticker.retries"),
        ({"downstreams": {"tikker": {}}}, "downstreams.tikker"),
        ({"levels": {"light": 0.9}}, "levels"),
        ({"redis_url": "http://x"}, "redis_url"),
        ({"port": 70000}, "port"),
        ({"api_keys": [{"id": "a", "key_sha256": "short", "user": "u"}]}, "api_keys.0.key_sha256"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_nonsensical_setting_is_refused_by_name(data: dict[str, Any], field: str):
    with pytest.raises(SettingsError) as caught:
        build(data)
    assert caught.value.field == field


def test_an_error_never_shows_the_value():
    with pytest.raises(SettingsError) as caught:
        build({"redis_url": "hunter2://top-secret-password", "service_token": ["top-secret-password"]})
    assert "top-secret" not in str(caught.value)
    assert {line.split(":")[0] for line in caught.value.problems} == {"redis_url", "service_token"}


def test_the_environment_overrides_the_file_and_the_command_line_both(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text("port = 1\n[budgets]\nin_flight = 10\nmemory_mb = 100\n[downstreams.ticker]\nretries = 1\n")
    environ = {
        "SIGNAL_BUDGETS__IN_FLIGHT": "20",
        "SIGNAL_CONFIG_FILE": "ignored",
        "TICKER_SERVICE_URL": "http://ticker:1/",
        "REDIS_URL": "redis://:pw@r/1",
        "PATH": "/bin",
    }
    found = load(path, environ, {"port": 2})
    assert (found.port, found.budgets.in_flight, found.budgets.memory_mb) == (2, 20, 100)
    assert (found.downstreams.ticker.url, found.downstreams.ticker.retries) == ("http://ticker:1", 1)
    assert found.downstreams.ticker.breaker.open_s == 60.0
    assert found.redis_url.get_secret_value() == "redis://:pw@r/1"


@pytest.mark.parametrize(
    "environ",
    [{"SIGNAL_BUDGETS__IN_FLIGTH": "1"}, {"SIGNAL_API_KEYS": "[{"}, {"SIGNAL_API_KEYS": "[" * 100_000}],
    ids=["name", "json", "depth"],
)
def test_a_misspelt_variable_is_refused_not_ignored(environ: dict[str, str]):
    with pytest.raises(SettingsError):
        load(None, environ)


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff", "nul", "[" * 100_000, '{"port": ' + "9" * 5000 + "}"])
def test_a_malformed_or_missing_file_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(SettingsError) as caught:
        load(path, {})
    assert caught.value.field == "config"
    with pytest.raises(SettingsError, match="cannot read"):
        load(tmp_path / "missing.json", {})


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"redis_url": "redis://:hunter2/more@cache:6379/0"}, "redis_url"),
        ({"redis_url": "redis://cache:99999/0"}, "redis_url"),
        ({"downstreams": {"ticker": {"url": "http://ticker:abc"}}}, "downstreams.ticker.url"),
        ({"downstreams": {"ticker": {"url": "http://ticker:0"}}}, "downstreams.ticker.url"),
    ],
)
def test_a_port_that_cannot_be_is_refused_without_quoting_it(data: dict[str, Any], field: str):
    with pytest.raises(SettingsError) as caught:
        build(data)
    assert caught.value.problems == [f"{field}: its port must be a number from 1 to 65535"]


def test_each_downstream_keeps_its_own_figures():
    found = {name: getattr(Settings().downstreams, name) for name in ("ticker", "user", "alert", "comms")}
    figures = {name: (one.breaker.failures, one.breaker.open_s, one.retries) for name, one in found.items()}
    assert figures == {"ticker": (3, 60, 2), "user": (5, 45, 3), "alert": (2, 30, 2), "comms": (2, 30, 2)}


def test_settings_cannot_be_changed_in_place():
    found = settings()
    with pytest.raises(ValidationError):
        found.budgets.in_flight = 99  # type: ignore[misc]
    with pytest.raises(ValidationError):
        found.debug = True  # type: ignore[misc]


def test_the_public_view_holds_no_secret():
    found = settings(redis_url="redis://:hunter2hunter2@r/0", audit_key="0123456789abcdef-key")
    text = json.dumps(found.public())
    assert not any(secret in text for secret in ("hunter2hunter2", "svc_0123456789abcdef", "0123456789abcdef-key"))
    assert not any(key.key_sha256 in text for key in found.api_keys)
    assert {"hunter2hunter2", "svc_0123456789abcdef", "0123456789abcdef-key"} < set(found.secrets())


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"debug": True}, "debug"),
        ({"cors_origins": ["*"]}, "cors_origins"),
        ({"api_keys": []}, "api_keys"),
        ({"service_token": ""}, "service_token"),
        ({"service_token": "changeme"}, "service_token"),
        ({"service_token": "short"}, "service_token"),
        ({"audit_key": "secret"}, "audit_key"),
    ],
)
def test_what_must_not_go_live_is_named(overrides: dict[str, Any], field: str):
    assert [line.split(":")[0] for line in settings(**overrides).dangers()] == [field]
    assert settings().dangers() == []


NAMES = st.sampled_from(["budgets", "levels", "downstreams", "ticker", "api_keys", "in_flight", "x"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(NAMES, children),
)


@given(ANYTHING)
def test_no_data_whatever_raises_anything_but_a_settings_error(data: Any):
    with contextlib.suppress(SettingsError):
        build(data if isinstance(data, dict) else {"budgets": data})
