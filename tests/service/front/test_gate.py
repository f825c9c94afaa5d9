from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from front_world import Answer, Clock, Events, call, settings

from signal_service.admission.backpressure import LevelMachine
from signal_service.admission.limits import Permits, RateWindow
from signal_service.admission.middleware import Gate
from signal_service.api.routes import find_entry
from signal_service.config.settings import Settings
from signal_service.context import RequestContext, current_request
from signal_service.security.auth import KeyRing

SIGNAL = "/v2/signals/BTC"


class World:
    """A gate around a route that does what the test says."""

    def __init__(self, **overrides: Any) -> None:
        self.current: Settings = settings(**overrides)
        self.generation = 1
        self.clock, self.events = Clock(), Events()
        budgets = self.current.budgets
        self.permits = Permits(budgets.in_flight, budgets.critical_reserve, self.events)
        self.window = RateWindow(budgets.accepted_per_window, budgets.window_s)
        self.machine = LevelMachine(self.current.levels, self.clock, self.events)
        self.seen: list[RequestContext] = []
        self.bodies: list[bytes] = []
        self.work: Callable[[], Awaitable[None]] = self.nothing
        self.gate = Gate(
            self.route,
            find_rule=find_entry,
            configuration=self,
            check_key=KeyRing(self.current.api_keys).check,
            permits=self.permits,
            window=self.window,
            machine=self.machine,
            emit=self.events,
            monotonic=self.clock,
            new_id=lambda: "generated",
            redact=lambda text: text.replace("secret", "[redacted]"),
        )

    async def nothing(self) -> None:
        """The work of a route that has none."""

    async def route(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        context = current_request.get()
        assert context is not None
        self.seen.append(context)
        self.bodies.append((await receive())["body"])
        await self.work()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def get(self, path: str = SIGNAL, key: str = "demo", **more: Any) -> Answer:
        return await call(self.gate, path, key=key, **more)

    def untouched(self) -> bool:
        """Whether neither a slot nor a permit is taken."""
        taken = len(self.events.named("permit_taken")) - len(self.events.named("permit_returned"))
        return len(self.window) == 0 and taken == 0 and self.permits.in_flight() == 0


def kind(answer: Answer) -> str:
    return str(answer.json()["type"].rpartition(":")[2])


@pytest.mark.asyncio
@pytest.mark.parametrize("path", [SIGNAL, "/v2/alerts", "/metrics", "/admin/state", "/docs", "/openapi.json", "/no"])
async def test_only_health_and_ready_answer_without_a_key(path: str):
    world = World()
    for key in ("", "wrong-key"):
        answer = await world.get(path, key=key)
        assert (answer.status, kind(answer)) == (401, "no-key")
        assert answer.headers["content-type"] == "application/problem+json"
    assert world.untouched()
    assert not world.seen
    for public in ("/health", "/ready"):
        assert (await world.get(public, key="")).status == 200


@pytest.mark.asyncio
async def test_a_key_opens_its_scopes_and_no_others():
    world = World()
    for key, path in (("demo", "/metrics"), ("demo", "/admin/state"), ("low", "/v2/alerts"), ("admin", SIGNAL)):
        assert (await world.get(path, key=key)).status == 403
    assert [fields["reason"] for fields in world.events.named("rejected")] == ["scope"] * 4
    assert world.untouched()


@pytest.mark.asyncio
async def test_admission_passes_key_level_slot_and_permit_in_that_order():
    world = World(budgets={"accepted_per_window": 1, "in_flight": 1})
    world.window.record(world.clock())
    held = world.permits.take(critical=False)
    world.machine.update(1.0, "cpu")
    assert kind(await world.get(key="wrong")) == "no-key"
    assert kind(await world.get()) == "shed"
    world.machine = LevelMachine(world.current.levels, world.clock, world.events)
    world.gate._machine = world.machine
    assert kind(await world.get()) == "rate"
    world.clock.now += 60
    assert kind(await world.get()) == "busy"
    assert held is not None
    held.give_back("ok")
    assert (await world.get()).status == 200


@pytest.mark.asyncio
async def test_a_refused_permit_takes_no_rate_slot():
    world = World(budgets={"in_flight": 1})
    held = world.permits.take(critical=False)
    answer = await world.get()
    assert (answer.status, kind(answer)) == (503, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    assert len(world.window) == 0
    assert held is not None


@pytest.mark.asyncio
async def test_the_rate_refusal_says_when_the_next_slot_is_free():
    world = World(budgets={"accepted_per_window": 2})
    for _ in range(2):
        assert (await world.get()).status == 200
        world.clock.now += 10.3
    answer = await world.get()
    assert answer.status == 429
    assert answer.json()["retry_after_s"] == pytest.approx(60 - 20.6, abs=0.002)
    assert answer.headers["retry-after"] == "40"
    world.clock.now += answer.json()["retry_after_s"]
    assert (await world.get()).status == 200


@pytest.mark.asyncio
async def test_shed_work_takes_nothing_and_critical_work_is_answered_throughout():
    world = World(budgets={"in_flight": 1, "accepted_per_window": 1})
    world.machine.update(0.7, "memory")
    low = await world.get(key="low")
    assert (low.status, kind(low)) == (503, "shed")
    assert 0 < int(low.headers["retry-after"]) <= 60
    assert world.untouched()
    world.machine.update(1.0, "memory")
    assert kind(await world.get(key="high")) == "shed"
    assert world.untouched()
    world.window.record(world.clock())
    permit = world.permits.take(critical=False)
    assert permit is not None
    for path, key in (("/health", ""), ("/ready", ""), ("/metrics", "admin"), ("/admin/state", "admin")):
        assert (await world.get(path, key=key)).status == 200
    assert [fields["level"] for fields in world.events.named("shed")] == ["light", "heavy"]


@pytest.mark.asyncio
async def test_batches_are_of_low_priority_whoever_asks():
    world = World()
    world.machine.update(0.7, "memory")
    answer = await world.get("/v2/signals/batch", method="POST", body=[b"{}"])
    assert kind(answer) == "shed"


@pytest.mark.asyncio
async def test_at_moderate_the_route_is_told_to_answer_from_the_cache_only():
    world = World()
    await world.get()
    world.machine.update(0.85, "memory")
    await world.get()
    await world.get("/health", key="")
    assert [context.cache_only for context in world.seen] == [False, True, False]


@pytest.mark.asyncio
async def test_a_permit_comes_back_after_success_error_and_timeout():
    world = World(budgets={"request_s": 0.01})
    await world.get()

    async def fail() -> None:
        raise RuntimeError("broken")

    world.work = fail
    assert kind(await world.get()) == "internal"
    world.work = asyncio.Event().wait  # type: ignore[assignment]
    late = await world.get()
    assert (late.status, kind(late)) == (504, "deadline")
    assert [fields["why"] for fields in world.events.named("permit_returned")] == ["ok", "error", "timeout"]
    assert world.permits.in_flight() == 0


@pytest.mark.asyncio
async def test_a_permit_comes_back_when_the_request_is_cancelled():
    world, entered = World(), asyncio.Event()

    async def hang() -> None:
        entered.set()
        await asyncio.Event().wait()

    world.work = hang
    task = asyncio.ensure_future(world.get())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [fields["why"] for fields in world.events.named("permit_returned")] == ["cancelled"]
    assert world.permits.in_flight() == 0


@pytest.mark.asyncio
async def test_a_permit_comes_back_when_the_client_goes_away():
    world, entered = World(), asyncio.Event()
    state: dict[str, Any] = {}

    async def hang() -> None:
        entered.set()
        await asyncio.Event().wait()

    world.work = hang
    task = asyncio.ensure_future(world.get(state=state))
    await entered.wait()
    state["on_disconnect"]()
    state["on_disconnect"]()
    with pytest.raises(AssertionError, match="nothing was answered"):
        await task
    assert [fields["why"] for fields in world.events.named("permit_returned")] == ["disconnect"]
    assert [fields["status"] for fields in world.events.named("request_done")] == [499]


@pytest.mark.asyncio
async def test_cancelling_at_any_step_leaves_no_permit_behind():
    for step in range(12):
        world = World()

        async def some_steps() -> None:
            for _ in range(6):
                await asyncio.sleep(0)

        world.work = some_steps
        task = asyncio.ensure_future(world.get())
        for _ in range(step):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert world.permits.in_flight() == 0
        assert len(world.events.named("permit_taken")) == len(world.events.named("permit_returned"))


@pytest.mark.asyncio
async def test_the_body_is_whole_before_anything_is_taken():
    world = World(clients={"body_s": 0.02})
    part = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if part.is_set():
            await asyncio.Event().wait()
        part.set()
        return {"type": "http.request", "body": b"{", "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"x-api-key", b"key-of-alice-0001"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": "/v2/alerts", "headers": headers}
    await world.gate(scope, receive, send)
    assert sent[0]["status"] == 408
    assert world.untouched()
    assert not world.seen


@pytest.mark.asyncio
async def test_a_body_beyond_its_bound_is_refused_declared_or_not():
    world = World(clients={"body_bytes": 1024})
    declared = await world.get("/v2/alerts", method="POST", headers={"content-length": "2000"}, body=[b"x"])
    dripped = await world.get("/v2/alerts", method="POST", body=[b"x" * 600, b"x" * 600])
    absurd = await world.get("/v2/alerts", method="POST", headers={"content-length": "9" * 30}, body=[b"x"])
    assert [answer.status for answer in (declared, dripped, absurd)] == [413, 413, 413]
    assert world.untouched()
    whole = await world.get("/v2/alerts", method="POST", body=[b"x" * 500, b"y" * 524])
    assert whole.status == 200
    assert world.bodies == [b"x" * 500 + b"y" * 524]


@pytest.mark.asyncio
async def test_each_request_sees_the_configuration_it_was_admitted_under():
    world, entered, go = World(), asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        entered.set()
        await go.wait()

    world.work = wait
    old = world.current
    task = asyncio.ensure_future(world.get())
    await entered.wait()
    world.current, world.generation = settings(budgets={"in_flight": 7}), 2
    go.set()
    first, second = await task, await world.get()
    assert (first.headers["x-config-generation"], second.headers["x-config-generation"]) == ("1", "2")
    assert world.seen[0].settings is old
    assert [fields["generation"] for fields in world.events.named("request_done")] == [1, 2]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("offered", "used"),
    [("req-1.a_B", "req-1.a_B"), ("a b", "generated"), ("x" * 65, "generated"), ("my-secret", "generated")],
)
async def test_a_request_id_is_taken_over_only_when_it_is_harmless(offered: str, used: str):
    answer = await World().get(headers={"x-request-id": offered})
    assert answer.headers["x-request-id"] == used


@pytest.mark.asyncio
async def test_wrong_methods_and_unknown_paths_are_refused_before_any_route():
    world = World()
    wrong = await world.get(SIGNAL, method="DELETE")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")
    assert [(await world.get(path)).status for path in ("/", "/v2/signals/", "/v2/signals/A/B", "/v2")] == [404] * 4
    assert world.untouched()


@pytest.mark.asyncio
async def test_bearer_tokens_are_keys_too():
    world = World()
    good = await world.get(key="", headers={"authorization": "Bearer key-of-alice-0001"})
    bad = await world.get(key="", headers={"authorization": "Basic key-of-alice-0001"})
    assert (good.status, bad.status) == (200, 401)


@pytest.mark.asyncio
async def test_several_keys_at_once_open_nothing_whichever_is_good():
    world = World()
    key = b"key-of-alice-0001"
    for name, text in ((b"x-api-key", key), (b"x-api-key", b"bad"), (b"authorization", b"Bearer " + key)):
        answer = await world.get(more=[(name, text), (name, text)], key="")
        assert (answer.status, answer.json()["field"]) == (401, "X-API-Key")
    one_of_each = await world.get(
        key="", more=[(b"x-api-key", key), (b"authorization", b"Bearer " + key), (b"a", b"1")]
    )
    assert one_of_each.status == 200


@pytest.mark.asyncio
@pytest.mark.parametrize("why", ["disconnect", "timeout"])
async def test_a_cancellation_from_outside_is_never_swallowed_with_our_own(why: str):
    world, entered = World(budgets={"request_s": 0.01}), asyncio.Event()
    state: dict[str, Any] = {}

    async def hang() -> None:
        entered.set()
        await asyncio.Event().wait()

    world.work = hang
    task = asyncio.ensure_future(world.get(state=state))
    await entered.wait()
    exchange = state["on_disconnect"].__self__
    exchange.disconnected() if why == "disconnect" else exchange.expired()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.permits.in_flight() == 0


@pytest.mark.asyncio
async def test_an_answer_that_nobody_reads_is_cut_at_the_deadline():
    world = World(budgets={"request_s": 0.01})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()  # the client's window is closed

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    headers = [(b"x-api-key", b"key-of-alice-0001")]
    scope = {"type": "http", "method": "GET", "path": SIGNAL, "headers": headers}
    with pytest.raises(TimeoutError):
        await world.gate(scope, receive, send)
    assert [fields["why"] for fields in world.events.named("permit_returned")] == ["timeout"]
