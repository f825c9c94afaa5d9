from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from front_world import Answer, settings
from test_observability import RULES, scraped
from whole_service import Whole, whole_service

from signal_service import problems as errors
from signal_service.config.settings import build

pytestmark = pytest.mark.asyncio
ALERT = b'{"symbol": "AAA", "rule": {"indicator": "price", "op": ">", "value": 0}}'


def kind(answer: Answer) -> str:
    return str(answer.json()["type"].rpartition(":")[2])


async def documented(world: Whole, path: str, method: str, answer: Answer) -> None:
    """Every answer must be one that the OpenAPI document knows."""
    document = (await world.get("/openapi.json")).json()
    assert str(answer.status) in document["paths"][path][method]["responses"], (path, answer.status)


async def test_a_signal_comes_from_the_ticker_then_from_the_cache():
    async with whole_service() as world:
        first = await world.get("/v2/signals/AAA", query="timeframe=5m&indicators=sma,bollinger,atr,sma")
        second = await world.get("/v2/signals/AAA", query="timeframe=5m&indicators=rsi")
        assert (first.status, first.json()["source"], second.json()["source"]) == (200, "ticker", "cache")
        assert set(first.json()["indicators"]) == {
            "sma", "bollinger.upper", "bollinger.middle", "bollinger.lower", "atr",
        }  # fmt: skip
        assert first.json()["signal"] in {"buy", "sell", "hold"}
        assert first.json()["degraded"] is False
        assert [fields["source"] for fields in world.events.named("request_done")] == ["ticker", "cache"]
        assert len(world.events.named("admitted")) == 2


@pytest.mark.parametrize(
    ("path", "query", "status", "field"),
    [
        ("/v2/signals/aaa", "", 422, "symbol"),
        ("/v2/signals/" + "A" * 50, "", 422, "symbol"),
        ("/v2/signals/AAA", "timeframe=2m", 422, "timeframe"),
        ("/v2/signals/AAA", "timeframe=5m&timeframe=1m", 422, "timeframe"),
        ("/v2/signals/AAA", "indicators=sma&indicators=rsi", 422, "indicators"),
        ("/v2/signals/AAA", "indicators=sma,magic", 422, "indicators"),
        ("/v2/signals/AAA", "indicators=" + "sma," * 100, 422, "indicators"),
        ("/v2/signals/AAA", "indicators=", 422, "indicators"),
        ("/v2/signals/NOPE", "", 404, "symbol"),
    ],
)
async def test_a_bad_question_is_refused_by_field(path: str, query: str, status: int, field: str):
    async with whole_service() as world:
        answer = await world.get(path, query=query)
        assert (answer.status, answer.json()["field"]) == (status, field)
        assert answer.headers["content-type"] == errors.MEDIA_TYPE
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        await documented(world, "/v2/signals/{symbol}", "get", answer)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, "body"),
        (b"\xff\xfe", 400, "body"),
        (b"[]", 422, "body"),
        (b"{}", 422, "symbol"),
        (b'{"symbol": "AAA", "rule": {"indicator": "magic", "op": ">", "value": 0}}', 422, "rule.indicator"),
        (b'{"symbol": "AAA", "rule": {"indicator": "price", "op": ">", "value": NaN}}', 422, "rule.value"),
        (b'{"symbol": "AAA", "rule": {"indicator": "price", "op": ">", "value": 1e400}}', 422, "rule.value"),
        (b'{"symbol": "AAA", "more": 1, "rule": {"indicator": "price", "op": ">", "value": 0}}', 422, "more"),
        (b'{"symbol": "AAA", "rule": {"indicator": "price", "op": ">", "value": "0"}}', 422, "rule.value"),
        (b"[" * 100_000, 400, "body"),
    ],
)
async def test_a_bad_body_is_refused_by_field_never_a_500(body: bytes, status: int, field: str):
    async with whole_service() as world:
        answer = await world.post("/v2/alerts", body, idempotency_key="k")
        assert (answer.status, answer.json()["field"]) == (status, field)
        await documented(world, "/v2/alerts", "post", answer)


@pytest.mark.parametrize("told", ["text/plain", "multipart/form-data; boundary=x", "application/jsonx", ""])
async def test_a_body_that_is_not_declared_as_json_is_told_so(told: str):
    async with whole_service() as world:
        answer = await world.post("/v2/alerts", ALERT, idempotency_key="k", content_type=told)
        assert (answer.status, answer.json()["field"]) == (422, "Content-Type")
        assert answer.json()["detail"] == "Must be application/json"
        fine = await world.post(
            "/v2/alerts", ALERT, idempotency_key="k", content_type="application/json; charset=utf-8"
        )
        assert fine.status == 202


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"symbol": "AAA", "rule": []}'])
async def test_a_body_that_is_no_object_is_told_so_in_words_of_json(body: bytes):
    async with whole_service() as world:
        answer = await world.post("/v2/alerts", body, idempotency_key="k")
        assert (answer.status, answer.json()["detail"]) == (422, "Must be a JSON object")


async def test_two_idempotency_keys_at_once_are_none():
    async with whole_service() as world:
        more = [(b"idempotency-key", b"k1"), (b"idempotency-key", b"k2")]
        answer = await world.post("/v2/alerts", ALERT, more=more)
        assert (answer.status, answer.json()["field"]) == (422, "Idempotency-Key")
        assert (await world.service.outbox.state())["undelivered"] == 0


async def test_operators_see_which_alert_was_refused_for_good_and_by_whom():
    async with whole_service() as world:
        junk = {"receiver": "alert", "error": "not an alert", "alert": "{"}
        async with world.service.seams.redis("") as client:
            await client.xadd(world.service.outbox.names.dead, junk)  # type: ignore[arg-type]
        outbox = (await world.get("/admin/state", key="admin")).json()["outbox"]
        assert outbox["dead"] == 1
        assert outbox["dead_letters"] == [{"alert_id": "", "receiver": "alert", "error": "not an alert"}]


@pytest.mark.parametrize("key", [None, "", " ", "a b", "x" * 129, "k\u00e9"])
async def test_an_alert_needs_a_sane_idempotency_key(key: str | None):
    async with whole_service() as world:
        answer = await world.post("/v2/alerts", ALERT, **({} if key is None else {"idempotency_key": key}))
        assert (answer.status, answer.json()["field"]) == (422, "Idempotency-Key")


async def test_an_alert_is_accepted_once_in_effect_and_its_key_remembered():
    async with whole_service() as world:
        first = await world.post("/v2/alerts", ALERT, idempotency_key="k1")
        again = await world.post("/v2/alerts", ALERT, idempotency_key="k1")
        other = await world.post("/v2/alerts", ALERT.replace(b"AAA", b"BBB"), idempotency_key="k1")
        assert (first.status, again.status, first.json()) == (202, 202, again.json())
        assert (other.status, kind(other)) == (422, "key-conflict")
        never = ALERT.replace(b'">"', b'"<"')
        unmet = await world.post("/v2/alerts", never, idempotency_key="k2")
        assert (unmet.status, unmet.json()["status"]) == (200, "not_met")
        await world.service.worker.drain(2.0)
        assert len(world.stand_ins["alert"].effects) == len(world.stand_ins["comms"].effects) == 1


async def test_two_users_may_use_the_same_idempotency_key_and_never_meet():
    async with whole_service() as world:
        keys = list(world.holds[0].api_keys)
        scoped = [key.model_copy(update={"scopes": ("signals", "alerts")}) for key in keys]
        world.holds[0] = world.holds[0].model_copy(update={"api_keys": tuple(scoped)})
        world.service.reload("sighup")
        mine = await world.post("/v2/alerts", ALERT, key="demo", idempotency_key="same")
        theirs = await world.post("/v2/alerts", ALERT.replace(b"AAA", b"BBB"), key="high", idempotency_key="same")
        assert (mine.status, theirs.status) == (202, 202)
        assert mine.json()["alert_id"] != theirs.json()["alert_id"]
        assert (mine.json()["user"], theirs.json()["user"]) == ("user-demo", "user-high")


async def test_a_full_outbox_says_503_and_a_store_that_is_gone_too():
    async with whole_service(outbox={"capacity": 1}) as world:
        await world.service.worker.drain(1.0)  # nothing is delivered from now on
        assert (await world.post("/v2/alerts", ALERT, idempotency_key="k1")).status == 202
        full = await world.post("/v2/alerts", ALERT, idempotency_key="k2")
        assert (full.status, kind(full)) == (503, "outbox-full")
        world.redis.connected = False
        gone = await world.post("/v2/alerts", ALERT, idempotency_key="k3")
        assert (gone.status, kind(gone)) == (503, "not-durable")
        assert all(int(answer.headers["retry-after"]) > 0 for answer in (full, gone))
        assert (await world.get("/ready", key="")).json()["status"] == "degraded"


async def test_an_inactive_user_sees_nothing():
    async with whole_service() as world:
        world.stand_ins["user"].inactive_users = frozenset({"user-demo"})
        one = await world.get("/v2/signals/AAA")
        many = await world.post("/v2/signals/batch", b'{"symbols": ["AAA"]}')
        alert = await world.post("/v2/alerts", ALERT, idempotency_key="k")
        assert [(answer.status, kind(answer)) for answer in (one, many, alert)] == [(403, "not-entitled")] * 3


async def test_a_batch_survives_the_symbols_that_fail():
    async with whole_service() as world:
        answer = await world.post("/v2/signals/batch", b'{"symbols": ["AAA", "NOPE", "BBB"]}')
        results = answer.json()["results"]
        assert [row["symbol"] for row in results] == ["AAA", "NOPE", "BBB"]
        assert [row.get("problem", {}).get("status") for row in results] == [None, 404, None]
        too_many = json.dumps({"symbols": ["AAA"] * 101}).encode()
        assert (await world.post("/v2/signals/batch", too_many)).json()["field"] == "symbols"


async def test_at_moderate_only_what_is_known_is_answered():
    async with whole_service() as world:
        await world.get("/v2/signals/AAA")
        world.service.machine.update(0.9, "memory")
        known, unknown = await world.get("/v2/signals/AAA"), await world.get("/v2/signals/BBB")
        assert (known.status, known.json()["source"]) == (200, "cache")
        assert (unknown.status, kind(unknown)) == (503, "stale")
        assert int(unknown.headers["retry-after"]) > 0


async def test_a_dead_ticker_is_503_and_opens_its_breaker_alone():
    figures = {"ticker": {"retries": 0, "breaker": {"failures": 2}}}
    async with whole_service(downstreams=figures) as world:
        await world.servers["ticker"].stop()
        for _ in range(3):
            answer = await world.get("/v2/signals/AAA")
            assert (answer.status, kind(answer)) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) > 0
        detail = (await world.get("/ready", key="admin")).json()
        assert detail["breakers"] == {"ticker": "open"}
        counted = scraped(world.service.metrics)
        assert counted["signal_breaker_changes_total", (("name", "ticker"), ("new", "open"))] == 1
        assert (await world.get("/ready", key="demo")).json().keys() == {"status", "ready", "degraded"}


async def test_admin_changes_are_made_audited_or_not_at_all():
    async with whole_service() as world:
        world.holds[0] = world.holds[0].model_copy(
            update={"budgets": world.holds[0].budgets.model_copy(update={"in_flight": 7})}
        )
        world.files.full = True
        refused = await world.post("/admin/reload", b"", key="admin")
        assert (refused.status, kind(refused)) == (503, "audit")
        assert world.service.store.generation == 1
        assert (await world.get("/ready", key="admin")).json()["audit"] == "down"
        world.files.full = False
        assert world.service.audit.flush(5.0)
        done = await world.post("/admin/reload", b"", key="admin")
        assert done.json() == {"outcome": "applied", "generation": 2}
        back = await world.post("/admin/rollback", b"", key="admin")
        assert back.json() == {"outcome": "rolled_back", "generation": 3}
        assert world.service.audit.flush(5.0)
        records = [json.loads(line) for line in b"".join(world.files.written).splitlines()]
        outcomes = [(r["action"], r["outcome"], r["actor"]) for r in records if r["action"] in {"reload", "rollback"}]
        assert ("reload", "applied", "admin:admin") in outcomes
        assert ("reload", "rolled_back", "admin:admin") in outcomes


async def test_a_refused_reload_names_the_field_and_is_audited():
    async with whole_service() as world:
        world.holds[0] = settings(debug=True)
        answer = await world.post("/admin/reload", b"", key="admin")
        assert (answer.status, answer.json()["field"]) == (409, "debug")
        await documented(world, "/admin/reload", "post", answer)
        assert world.service.audit.flush(5.0)
        assert b'"outcome":"refused"' in b"".join(world.files.written)


async def test_a_refused_reload_does_not_repeat_a_secret_pasted_where_a_name_belongs():
    async with whole_service() as world:
        secret = world.holds[0].service_token.get_secret_value()
        world.service.store._source = lambda: build({secret: 1})
        answer = await world.post("/admin/reload", b"", key="admin")
        assert answer.status == 409
        assert secret.encode() not in answer.body


async def test_what_a_refused_reload_says_survives_redaction():
    async with whole_service() as world:
        world.service.store._source = lambda: build({"redis_url": "http://cache"})
        answer = await world.post("/admin/reload", b"", key="admin")
        assert answer.json()["detail"] == "its scheme must be redis, rediss or unix"


async def test_invalidated_candles_are_loaded_anew_and_the_change_is_audited():
    async with whole_service() as world:
        assert (await world.get("/v2/signals/AAA")).json()["source"] == "ticker"
        assert (await world.get("/v2/signals/AAA")).json()["source"] == "cache"
        done = await world.post("/admin/cache/invalidate", b'{"symbol":"AAA","timeframe":"1m"}', key="admin")
        assert done.json() == {"invalidated": ["candles:AAA:1m"]}
        await documented(world, "/admin/cache/invalidate", "post", done)
        assert (await world.get("/v2/signals/AAA")).json()["source"] == "ticker"
        every = await world.post("/admin/cache/invalidate", b'{"symbol":"AAA"}', key="admin")
        assert len(every.json()["invalidated"]) == 5
        assert world.service.audit.flush(5.0)
        records = [json.loads(line) for line in b"".join(world.files.written).splitlines()]
        told = [(r["actor"], r["fields"]) for r in records if r["action"] == "invalidate"]
        assert told[0] == ("admin:admin", {"symbol": "AAA", "timeframe": "1m"})


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"symbol":"no symbol"}', 422), (b'{"symbol":"AAA","timeframe":"2m"}', 422), (b"{", 400), (b"{}", 422)],
)
async def test_an_invalidation_that_names_no_symbol_is_refused(body: bytes, status: int) -> None:
    async with whole_service() as world:
        answer = await world.post("/admin/cache/invalidate", body, key="admin")
        assert answer.status == status
        await documented(world, "/admin/cache/invalidate", "post", answer)


async def test_an_invalidation_needs_the_scope_and_an_audit_log():
    async with whole_service() as world:
        assert (await world.post("/admin/cache/invalidate", b'{"symbol":"AAA"}')).status == 403
        world.files.full = True
        refused = await world.post("/admin/cache/invalidate", b'{"symbol":"AAA"}', key="admin")
        assert (refused.status, kind(refused)) == (503, "audit")


async def test_a_reload_reaches_the_parts():
    async with whole_service() as world:
        changes: dict[str, Any] = {"budgets": {"in_flight": 1, "accepted_per_window": 1}, "api_keys": []}
        kept = [key.model_dump() for key in world.holds[0].api_keys if key.id != "low"]
        data = {**world.holds[0].model_dump(), **changes, "api_keys": kept}
        world.holds[0] = type(world.holds[0]).model_validate(data)
        world.service.reload("file")
        assert (await world.get("/v2/signals/AAA", key="low")).status == 401
        assert (await world.get("/v2/signals/AAA")).status == 200
        second = await world.get("/v2/signals/AAA")
        assert (second.status, second.headers["x-config-generation"]) == (429, "2")


async def test_operators_see_state_and_configuration_without_secrets():
    async with whole_service() as world:
        state = (await world.get("/admin/state", key="admin")).json()
        assert {"level", "shares", "in_flight", "outbox", "breakers", "durability", "log_dropped"} <= state.keys()
        config = await world.get("/admin/config", key="admin")
        assert config.json()["settings"]["budgets"]["in_flight"] == 50
        assert b"svc_0123456789abcdef" not in config.body
        assert config.json()["generation"] == 1


async def test_the_documentation_needs_no_other_server_and_knows_every_route():
    async with whole_service() as world:
        page = await world.get("/docs")
        assert b"<script" not in page.body
        assert b"http" not in page.body.replace(b"https://signal", b"")
        document = (await world.get("/openapi.json")).json()
        assert set(document["paths"]) == {
            "/v2/signals/{symbol}", "/v2/signals/batch", "/v2/alerts", "/health", "/ready", "/metrics",
            "/admin/state", "/admin/config", "/admin/reload", "/admin/rollback", "/admin/cache/invalidate",
        }  # fmt: skip
        for path, methods in document["paths"].items():
            for one in methods.values():
                assert ("security" in one) == (path not in {"/health", "/ready"})


async def test_every_alert_rule_reads_series_that_the_service_exposes():
    async with whole_service() as world:
        found = (await world.get("/metrics", key="admin")).body.decode()
        for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]:
            words = {
                word.rpartition("(")[2].strip("(){},")
                for word in rule["expr"].replace("{", " ").replace("[", " ").split()
            }
            for name in words:
                if name.startswith("signal_"):
                    assert f"\n{name}" in found, name


async def test_a_second_service_in_the_process_may_come_after_the_first():
    async with whole_service() as world:
        assert (await world.get("/health", key="")).status == 200
    async with whole_service() as world:
        assert (await world.get("/health", key="")).status == 200
    assert [fields["event"] for fields in world.events.named("client")].count("closed") == 4
