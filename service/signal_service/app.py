"""The wiring, and the only one: every part is made here and handed what it needs.

A request meets, from the outside in: CORS (only when origins are configured), the gate, FastAPI's routes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.middleware.cors import CORSMiddleware

from signal_service import problems as errors
from signal_service.admission.backpressure import LevelMachine, Sampler
from signal_service.admission.limits import Permits, RateWindow
from signal_service.admission.middleware import Gate
from signal_service.api import operation, routes
from signal_service.clients import factory
from signal_service.clients.downstream import World
from signal_service.clients.errors import DownstreamError
from signal_service.clients.factory import Entitlement
from signal_service.config.hot_reload import SettingsStore
from signal_service.config.settings import CacheSettings, Settings
from signal_service.context import current_request
from signal_service.edge import startup
from signal_service.edge.startup import Dependency, Waiting
from signal_service.market.candles import Candle
from signal_service.observability.events import EventBus
from signal_service.observability.health import Health
from signal_service.observability.metrics import Gauge, Metrics
from signal_service.problems import Problem
from signal_service.seams import Seams
from signal_service.security.audit import AuditLog
from signal_service.security.auth import KeyInfo, KeyRing
from signal_service.security.redaction import Redactor
from signal_service.store import historical_data as history
from signal_service.store.cache import Cache
from signal_service.store.outbox import KeyConflictError, Outbox, OutboxFullError, OutboxUnavailableError
from signal_service.store.outbox_worker import Worker
from signal_service.store.redis_link import RedisLink

ENTITLEMENT_S = 15.0
"""So long a user's entitlement is believed; with the user service down, as long again, and then nobody gets in."""
AUDIT_FLUSH_S = 1.0
OUTBOX_RETRY_S = 2.0
DURABILITY_EVERY_S = 5.0
AUDITED = ("rejected", "level", "breaker", "reload")
AUDITED_REJECTIONS = {"key": "authentication", "scope": "authorisation", "rate": "rate"}


class Service:
    """All parts of one service, and their life: ``start``, serve through ``asgi``, ``stop``.

    Args:
        settings: the first configuration.
        source: reads the configuration again.
        seams: the world it lives in.
        redactor: cleans texts before they leave.
        log_dropped: log records lost so far.
        threads: False in worlds without threads: the audit log is then written in place.
    """

    def __init__(
        self,
        settings: Settings,
        source: Callable[[], Settings],
        seams: Seams,
        *,
        redactor: Redactor | None = None,
        log_dropped: Callable[[], int] = lambda: 0,
        threads: bool = True,
    ) -> None:
        self.seams = seams
        self.redactor = redactor or Redactor(settings.secrets())
        self.bus = emit = EventBus(seams.emit)
        self.health = Health(emit)
        self.store = SettingsStore(settings, source, emit)
        self.log_dropped = log_dropped
        self.backlog: dict[str, Any] = {"undelivered": 0, "dead": 0}
        self._tasks: list[asyncio.Task[Any]] = []

        self.permits = Permits(settings.budgets.in_flight, settings.budgets.critical_reserve, emit)
        self.window = RateWindow(settings.budgets.accepted_per_window, settings.budgets.window_s)
        self.machine = LevelMachine(settings.levels, seams.monotonic, emit)
        self.sampler = Sampler(self.machine, seams.sample, self.permits.share, seams.monotonic, seams.sleep, emit)
        self.keys = KeyRing(settings.api_keys)
        self.link = RedisLink(seams.redis(settings.redis_url.get_secret_value()), emit, seams.monotonic)
        world = World(emit, seams.monotonic, seams.sleep, seams.rng, seams.network)
        self.clients = factory.build_client_manager(settings, world)
        self.cache: Cache[tuple[Candle, ...]] = self._cache(settings.cache, history.encode, history.decode)
        self.history = history.HistoricalData(self.cache, self.clients.ticker)
        self.entitlements: Cache[Entitlement] = self._cache(
            _entitlement_times(settings.cache), _encode_entitlement, _decode_entitlement
        )
        key = settings.audit_key.get_secret_value() if settings.audit_key is not None else None
        self.audit = AuditLog(
            settings.audit_path,
            seams.files,
            seams.wall,
            emit,
            key,
            redactor=self.redactor,
            background=threads,
            later=lambda wait_s, write: asyncio.get_running_loop().call_later(wait_s, write),
        )
        self.outbox = Outbox(self.link, settings.outbox, emit=emit, monotonic=seams.monotonic)
        self.worker = Worker(
            self.link,
            self.outbox.names,
            {"alert": self.clients.alert.deliver, "comms": self.clients.comms.send},
            settings.outbox,
            emit=emit,
            monotonic=seams.monotonic,
            rng=seams.rng,
        )
        self.outbox.wake = self.worker.wake
        self.store.may_change = lambda: self.audit.healthy
        self.store.subscribe(self._apply)
        self.bus.listen(AUDITED, self._audit)
        self.metrics = Metrics(emit, self._gauges())
        self.asgi = self._middleware(settings, self._application(settings))

    def _cache(self, settings: CacheSettings, encode: Any, decode: Any) -> Cache[Any]:
        seams = self.seams
        return Cache(self.link, settings, encode, decode, emit=self.bus, monotonic=seams.monotonic, wall=seams.wall)

    # --- the application -----------------------------------------------------------------------------------------

    def _application(self, settings: Settings) -> FastAPI:
        app = FastAPI(
            title="Signal Service",
            version="2",
            description="Trading signals and alerts. Errors are problem documents (RFC 9457).",
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            debug=settings.debug,
        )
        errors.install(app, self.redactor.text, self.bus)
        for kind in (*routes.HANDLED, Exception):
            app.add_exception_handler(kind, self._answer_failure)
        routes.add_signal_routes(app.router, self)
        operation.add_operator_routes(app.router, self)
        operation.add_documents(app.router, lambda: errors.document(app))
        return app

    async def _answer_failure(self, _: Request, error: Exception) -> Response:
        problem = routes.translate(error) if isinstance(error, routes.HANDLED) else Problem("internal")
        if problem.kind == "invalid":
            route = routes.request().route
            self.bus("rejected", reason="invalid", status=problem.status, field=problem.field or "", route=route)
        return errors.respond(problem)

    def _middleware(self, settings: Settings, app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        rng = self.seams.rng
        gated: Callable[..., Awaitable[None]] = Gate(
            app,
            find_rule=routes.find_entry,
            configuration=self.store,
            check_key=self._check_key,
            permits=self.permits,
            window=self.window,
            machine=self.machine,
            emit=self.bus,
            monotonic=self.seams.monotonic,
            new_id=lambda: f"{rng.getrandbits(64):016x}",
            redact=self.redactor.text,
        )
        if settings.cors_origins:
            gated = CORSMiddleware(gated, allow_origins=settings.cors_origins, allow_headers=["X-API-Key"])
        return gated

    def _check_key(self, value: str) -> KeyInfo | None:
        return self.keys.check(value)

    # --- what routes ask for -------------------------------------------------------------------------------------

    async def entitlement(self, user: str) -> Entitlement:
        """What ``user`` may see; raises DownstreamError, or NotCachedError at level moderate."""
        key = f"entitlement:{user}"
        context = current_request.get()
        if context is not None and context.cache_only:
            found = await self.entitlements.peek(key)
            if found is None:
                raise history.NotCachedError(key)
            return found.value
        try:
            return (await self.entitlements.get(key, lambda: self.clients.user.entitlement(user))).value
        except DownstreamError:
            stale = self.entitlements.stale(key)
            if stale is None:
                raise
            return stale.value

    async def candles(self, symbol: str, timeframe: str) -> history.Loaded:
        """Candles; see ``HistoricalData.get``."""
        context = current_request.get()
        return await self.history.get(symbol, timeframe, cache_only=context is not None and context.cache_only)

    async def first_answer(self, user: str, key: str, body: Mapping[str, Any]) -> str | None:
        """The alert id that ``key`` was answered with before; raises Problem."""
        with _outbox_problems():
            found = await self.outbox.replay(user, key, body)
        return found.alert_id if found is not None else None

    async def decline(self, user: str, key: str, body: Mapping[str, Any]) -> str:
        """See ``routes.Desk``."""
        with _outbox_problems():
            return (await self.outbox.decline(user, key, body)).alert_id

    async def accept(self, user: str, key: str, body: Mapping[str, Any], text: str) -> str:
        """Store an alert durably and return its id; raises Problem."""
        with _outbox_problems():
            return (await self.outbox.accept(user, key, body, text)).alert_id

    async def audit_first(self, action: str, actor: str, **about: Any) -> bool:
        """Write down that a change was asked for, before it is made; False when that cannot be written."""
        context = current_request.get()
        self.audit.record(action, actor, "requested", context.request_id if context is not None else "", **about)
        return await asyncio.to_thread(self.audit.flush, AUDIT_FLUSH_S) and self.audit.healthy

    def reload(self, actor: str) -> None:
        """Reload for a signal or a changed file, which want no answer."""
        self.store.reload(actor)

    async def state(self) -> dict[str, Any]:
        """For ``/admin/state``."""
        outbox = await self.outbox.state()
        outbox["dead_letters"] = await self.outbox.dead_letters() if outbox["dead"] else []
        return {
            "generation": self.store.generation,
            "level": self.machine.level.label,
            "utilisation": round(self.machine.utilisation, 4),
            "shares": {name: round(share, 4) for name, share in self.sampler.shares.items()},
            "in_flight": {"main": self.permits.in_flight("main"), "critical": self.permits.in_flight("critical")},
            "accepted_in_window": len(self.window),
            "cache": {"entries": len(self.cache), "locks": self.cache.locks},
            "outbox": outbox,
            "log_dropped": self.log_dropped(),
            "metrics_mode": self.metrics.mode,
            **self.health.detail(),
        }

    # --- listening to our own events -----------------------------------------------------------------------------

    def _audit(self, event: str, request_id: str, fields: dict[str, Any]) -> None:
        actor = str(fields.get("user") or fields.get("actor") or "service")
        told = {name: value for name, value in fields.items() if name not in {"user", "actor", "outcome"}}
        if event == "rejected":
            action = AUDITED_REJECTIONS.get(fields["reason"])
            if action is not None:
                self.audit.record(action, actor if fields.get("user") else "unknown", "refused", request_id, **told)
        elif event == "breaker":
            if fields["new"] == "open":
                self.audit.record("breaker", "service", "open", request_id, **told)
        else:
            outcome = str(fields.get("outcome") or fields.get("new"))
            if outcome != "unchanged":
                self.audit.record(event, actor, outcome, request_id, **told)

    def _gauges(self) -> Mapping[str, tuple[str, Gauge]]:
        breakers = self.clients.downstreams
        states = {"closed": 0.0, "half_open": 1.0, "open": 2.0}
        return {
            "signal_level": ("Pressure level, 0 none to 3 heavy", lambda: float(self.machine.level)),
            "signal_utilisation": (
                "Shares of the budgets in use",
                lambda: {str(name): share for name, share in self.sampler.shares.items()},
            ),
            "signal_in_flight": (
                "Requests in flight",
                lambda: {"main": self.permits.in_flight("main"), "critical": self.permits.in_flight("critical")},
            ),
            "signal_breaker_state": (
                "0 closed, 1 half open, 2 open",
                lambda: {name: states[one.breaker.state] for name, one in breakers.items()},
            ),
            "signal_outbox_undelivered": ("Alerts not yet delivered", lambda: float(self.backlog["undelivered"])),
            "signal_outbox_dead": ("Alerts refused for good", lambda: float(self.backlog["dead"])),
            "signal_rss_bytes": ("Memory in use", lambda: float(self.sampler.reading.rss_bytes)),
            "signal_fds": ("Open descriptors", lambda: float(self.sampler.reading.fds)),
            "signal_cache_entries": ("Entries in process", lambda: float(len(self.cache))),
            "signal_audit_healthy": ("1 while the audit log can be written", lambda: float(self.audit.healthy)),
            "signal_audit_failures": ("Audit records that could not be written", lambda: float(self.audit.failures)),
            "signal_log_dropped": ("Log records lost", lambda: float(self.log_dropped())),
            "signal_ready": ("1 while requests are wanted", lambda: float(self.health.phase == "ready")),
            "signal_degraded": ("1 while degraded", lambda: float(bool(self.health.reasons()))),
            "signal_redis_up": ("1 while Redis answers", lambda: float(self.link.up)),
            "signal_config_generation": ("Configuration in force", lambda: float(self.store.generation)),
        }

    def _apply(self, _: Settings, new: Settings) -> None:
        """Hand a new configuration to the parts; none of them may fail half way."""
        keys = KeyRing(new.api_keys)
        self.permits.resize(new.budgets.in_flight, new.budgets.critical_reserve)
        self.window.resize(new.budgets.accepted_per_window, new.budgets.window_s)
        self.machine.apply(new.levels)
        self.clients.apply(new)
        self.cache.apply(new.cache)
        self.entitlements.apply(_entitlement_times(new.cache))
        self.outbox.apply(new.outbox)
        self.worker.apply(new.outbox)
        self.keys = keys

    # --- life ----------------------------------------------------------------------------------------------------

    def waiting(self) -> Waiting:
        """How to wait for dependencies."""
        seams = self.seams
        return Waiting(self.store.current.startup, seams.monotonic, seams.sleep, seams.rng, self.bus)

    def dependencies(self) -> tuple[Dependency, ...]:
        """What the service needs, and how to see whether it is there."""
        attempt_s = self.store.current.startup.attempt_s
        return (
            Dependency("redis", True, lambda: self.link.ping(attempt_s)),
            *(Dependency(name, name in factory.CRITICAL, one.health) for name, one in self.clients.downstreams.items()),
        )

    async def start(self) -> None:
        """Wait for the dependencies, then begin the background work.

        Raises:
            StartupError: a critical dependency is missing.
        """
        began = self.seams.monotonic()
        self.store.announce()
        waiting, dependencies = self.waiting(), self.dependencies()
        await startup.validate_startup_dependencies(dependencies, waiting)
        self.health.durability = await self.outbox.durability()
        self._spawn(self.worker.run())
        self._spawn(self._watch_store())
        self._spawn(self.sampler.run(lambda: (self.store.current.budgets, self.store.current.levels)))
        self._spawn(self.clients.mend_forever())
        self._spawn(startup.look_for_absent(dependencies, self.health.absent, waiting))
        self.health.phase = "ready"
        self.bus("startup", phase="ready", elapsed_s=round(self.seams.monotonic() - began, 3))

    async def _watch_store(self) -> None:
        """Ask from time to time what the store promises and holds: its settings can be changed under us."""
        while True:
            await self.seams.sleep(DURABILITY_EVERY_S)
            self.health.durability = await self.outbox.durability()
            self.backlog = await self.outbox.state()

    def _spawn(self, work: Any) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def stop(self) -> None:
        """End the background work and close every client; safe after a start that failed."""
        await self.worker.drain(self.store.current.drain.max_s / 2)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await factory.shutdown_all_clients()
        self.bus("drain", phase="clients_closed")
        with contextlib.suppress(Exception):
            await self.link.aclose()
        await asyncio.to_thread(self.audit.close, 2.0)
        self.bus("drain", phase="done")


@contextlib.contextmanager
def _outbox_problems() -> Iterator[None]:
    try:
        yield
    except KeyConflictError:
        raise Problem("key-conflict", field="Idempotency-Key") from None
    except OutboxFullError:
        raise Problem("outbox-full", retry_after_s=OUTBOX_RETRY_S) from None
    except OutboxUnavailableError:
        raise Problem("not-durable", retry_after_s=OUTBOX_RETRY_S) from None


def _entitlement_times(settings: CacheSettings) -> CacheSettings:
    short_s = min(ENTITLEMENT_S, settings.ttl_s)
    return settings.model_copy(update={"ttl_s": short_s, "stale_s": min(short_s, settings.stale_s)})


def _encode_entitlement(one: Entitlement) -> list[Any]:
    return [one.user, one.plan, one.active, sorted(one.symbols)]


def _decode_entitlement(data: Any) -> Entitlement:
    user, plan, active, symbols = data
    if not (isinstance(user, str) and isinstance(plan, str) and isinstance(active, bool)):
        raise ValueError("not an entitlement")
    if not isinstance(symbols, list) or not all(isinstance(name, str) for name in symbols):
        raise ValueError("not a list of symbols")
    return Entitlement(user, plan, active, frozenset(symbols))
