"""One call to one downstream: slot, breaker, retries, attempt, answer.

The call runs in a task of its own, so a caller that goes away cannot cancel it inside httpx; it is told to end and
ends at its next read. The slot (a semaphore as large as the connection pool) is given back when the task has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpcore
import httpx

from signal_service.clients.breaker import Breaker, Ticket
from signal_service.clients.errors import DownstreamError, FailureKind
from signal_service.clients.retry import RetryBudget, with_retries
from signal_service.clients.transport import Deadline, DeadlineTransport, current_deadline
from signal_service.config.settings import Downstream as DownstreamSettings
from signal_service.config.settings import Retry
from signal_service.context import current_request
from signal_service.seams import EmitEvent

T = TypeVar("T")

BODY_BYTES_MAX = 1_000_000
RETRY_AFTER_S_MAX = 3600.0
MARGIN_S = 0.05
"""A call ends so long before its request must: the answer is still to be written."""
FAIR_SHARE = 0.5
"""An attempt that the deadline cut to less than this share of its time says nothing about the downstream."""
IO_S = 60.0
"""Belt beside braces: httpx's own time for one read; the deadline in the stream is always earlier."""
BUDGET_S = 5.0
"""The time of a call that belongs to no request (deliveries of the outbox)."""

KINDS: tuple[tuple[type[Exception], FailureKind], ...] = (
    (httpx.ConnectError, "connect"),
    (httpx.ConnectTimeout, "connect"),
    (httpx.TimeoutException, "timeout"),
    (httpx.HTTPError, "reset"),
    (httpx.InvalidURL, "connect"),
    (OSError, "reset"),
)


@dataclass(frozen=True, slots=True)
class World:
    """The seams that clients need; see ``signal_service.seams``."""

    emit: EmitEvent
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    rng: random.Random
    network: Callable[[], httpcore.AsyncNetworkBackend]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a downstream; ``key`` is the Idempotency-Key that makes a POST safe to repeat."""

    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = None
    key: str = ""

    @property
    def repeatable(self) -> bool:
        """True when it may be sent twice."""
        return self.method == "GET" or bool(self.key)


@dataclass(slots=True)
class _Call:
    """One call under way: ``blamed`` once an attempt failed by the downstream's fault."""

    id: str
    ask: Ask
    parse: Callable[[Any], Any]
    deadline: Deadline
    began_s: float
    request_id: str
    attempts: int = 0
    blamed: bool = False

    def outcome(self, error: DownstreamError) -> str:
        """The word for the event ``call``."""
        if error.kind == "client_error":
            return "client_error"
        if error.kind in {"refused", "unbuilt"}:
            return "refused"
        if self.deadline.aborted:
            return "cancelled"
        return "failed" if self.blamed else "deadline"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait that ``Retry-After`` asks for, as a number or as a date (RFC 9110, 10.2.3); None for nonsense.

    A date counts from the answer's own ``Date``, so that no clock needs to agree with another.
    """
    value = headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return min(RETRY_AFTER_S_MAX, float(value[:9]))
    until = _http_date(value)
    now = _http_date(headers.get("Date", "")) or time.time()
    return None if until is None else min(RETRY_AFTER_S_MAX, max(0.0, until - now))


def _http_date(value: str) -> float | None:
    if value[:3] not in {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}:
        return None
    try:
        return parsedate_to_datetime(value).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


class Downstream:
    """The only way to one downstream.

    Args:
        name: ``ticker``, ``user``, ``alert`` or ``comms``.
        settings: address, seconds of one attempt, connections at once, breaker, retries.
        retry: waits and retry budget.
        token: sent as ``Authorization: Bearer``; empty: not sent.
        world: time, randomness, network.
    """

    def __init__(self, name: str, settings: DownstreamSettings, retry: Retry, token: str, world: World) -> None:
        self.name = name
        self.breaker = Breaker(name, settings.breaker, world.monotonic, world.emit)
        self.budget = RetryBudget(retry, world.monotonic)
        self.built = False
        self._settings = settings
        self._retry = retry
        self._token = token
        self._world = world
        self._http: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._tasks: dict[asyncio.Task[Any], Deadline] = {}
        self._ids = itertools.count(1)

    def build(self) -> None:
        """Make the HTTP client; until then, and after ``aclose``, every call fails as ``unbuilt``.

        Raises:
            ValueError: for an address that cannot be.
        """
        try:
            url = httpx.URL(self._settings.url)
        except httpx.InvalidURL as error:
            raise ValueError(f"downstreams.{self.name}.url: {error}") from None
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError(f"downstreams.{self.name}.url: must be http://host or https://host")
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        transport = DeadlineTransport(self._world.network(), self._settings.concurrency)
        self._http = httpx.AsyncClient(
            transport=transport, base_url=url, headers=headers, timeout=IO_S, trust_env=False, follow_redirects=False
        )
        self.built = True

    def apply(self, settings: DownstreamSettings, retry: Retry) -> None:
        """Take the settings that a reload may change; calls under way keep theirs."""
        self._settings, self._retry = settings, retry
        self.breaker.apply(settings.breaker)
        self.budget.apply(retry)

    @property
    def calls_in_flight(self) -> int:
        """Calls whose task has not ended."""
        return len(self._tasks)

    async def aclose(self) -> None:
        """End what is under way and close the connections."""
        for deadline in self._tasks.values():
            deadline.abort()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        http, self._http, self.built = self._http, None, False
        if http is not None:
            await http.aclose()

    async def health(self) -> None:
        """One GET /health beside the breaker, for start-up; bounded by the attempt's time.

        Raises:
            DownstreamError: when it is not well.
        """
        await self._run(Ask("GET", "/health"), lambda _: None, health=True)

    async def mend(self) -> None:
        """When the breaker is due for a probe and no traffic brings one, let GET /health be it."""
        if self.breaker.state != "closed" and self.breaker.wait_s == 0:
            with contextlib.suppress(DownstreamError):  # still ill: the breaker knows it now
                await self.call(Ask("GET", "/health"), lambda _: None)

    async def call(self, ask: Ask, parse: Callable[[Any], T]) -> T:
        """Ask, and hand the JSON of the answer through ``parse`` (ValueError: malformed).

        Raises:
            BreakerOpenError: refused by the breaker.
            DownstreamError: failed; ``kind`` says how.
        """
        return await self._run(ask, parse)

    async def _run(self, ask: Ask, parse: Callable[[Any], T], health: bool = False) -> T:
        request = current_request.get()
        now_s = self._world.monotonic()
        end_s = now_s + BUDGET_S if request is None else request.deadline_s - MARGIN_S
        deadline = Deadline(end_s, self._world.monotonic)
        call = _Call(
            f"{self.name}-{next(self._ids)}", ask, parse, deadline, now_s, request.request_id if request else ""
        )
        await self._slot(call)
        task = asyncio.get_running_loop().create_task(self._once(call) if health else self._whole(call), name=call.id)
        self._tasks[task] = deadline
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            deadline.abort()
            raise
        try:
            result: T = task.result()
        except DownstreamError as error:
            # A request that ran out of time ends in 504, whomever the breaker blames for it.
            error.out_of_time = request is not None and deadline.left_s <= 0
            raise
        return result

    async def _slot(self, call: _Call) -> None:
        if not self._slots.locked():
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(max(0.0, call.deadline.left_s)):
                await self._slots.acquire()
        except TimeoutError:
            self._report(call, "deadline")
            raise DownstreamError(self.name, "deadline") from None
        except asyncio.CancelledError:
            self._report(call, "cancelled")
            raise

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        self._slots.release()
        if not task.cancelled():
            task.exception()  # a caller that went away never asks for it

    def _report(self, call: _Call, outcome: str) -> None:
        duration_s = self._world.monotonic() - call.began_s
        ask = call.ask
        self._world.emit(
            "call",
            id=call.request_id,
            name=self.name,
            outcome=outcome,
            attempts=call.attempts,
            duration_s=duration_s,
            call_id=call.id,
            idempotent=ask.repeatable,
            method=ask.method,
            key=ask.key,
        )

    async def _whole(self, call: _Call) -> Any:
        """The call with its retries, which counts once for the breaker."""
        current_deadline.set(call.deadline)
        outcome = "cancelled"
        ticket: Ticket | None = None
        try:
            ticket = self.breaker.acquire()
            self.budget.called()
            result = await self._with_retries(call, ticket)
            ticket.success()
            outcome = "ok"
            return result
        except DownstreamError as error:
            outcome = call.outcome(error)
            if ticket is not None and outcome == "failed":
                ticket.failure()
            raise
        finally:
            if ticket is not None:
                ticket.release()
            self._report(call, outcome)

    async def _with_retries(self, call: _Call, ticket: Ticket) -> Any:
        deadline = call.deadline

        async def pause(seconds: float) -> None:
            deadline.begin_attempt(math.inf)
            with contextlib.suppress(TimeoutError):  # abandoned meanwhile: ``may_go_on`` sees it
                await deadline.cap(lambda: self._world.sleep(seconds))

        return await with_retries(
            functools.partial(self._attempt, call),
            retries=self._settings.retries if call.ask.repeatable and not ticket.probe else 0,
            settings=self._retry,
            budget=self.budget,
            rng=self._world.rng,
            left_s=lambda: deadline.left_s,
            sleep=pause,
            may_go_on=lambda: ticket.valid and not deadline.aborted,
        )

    async def _once(self, call: _Call) -> Any:
        """One attempt beside breaker and retries, of which nothing is counted."""
        current_deadline.set(call.deadline)
        return call.parse(await self._send(call, 1))

    async def _attempt(self, call: _Call, number: int, wait_s: float) -> Any:
        call.attempts = number
        self._world.emit("attempt", id=call.request_id, name=self.name, attempt=number, wait_s=wait_s, call_id=call.id)
        try:
            return call.parse(await self._send(call, number))
        except DownstreamError as error:
            call.blamed = call.blamed or error.blames_downstream
            raise
        except (ValueError, KeyError, TypeError) as error:
            call.blamed = True
            raise DownstreamError(self.name, "malformed") from error

    async def _send(self, call: _Call, number: int) -> Any:
        """One request on the wire; the JSON of a 2xx, DownstreamError for everything else."""
        if self._http is None:
            raise DownstreamError(self.name, "unbuilt")
        timeout_s = self._settings.timeout_s
        granted_s = call.deadline.begin_attempt(timeout_s)
        if granted_s <= 0:
            raise DownstreamError(self.name, "deadline")
        ask = call.ask
        headers = {"X-Attempt": str(number)}
        if call.request_id:
            headers["X-Request-Id"] = call.request_id
        if ask.key:
            headers["Idempotency-Key"] = ask.key
        try:
            async with self._http.stream(
                ask.method, ask.path, params=ask.params, json=ask.body, headers=headers
            ) as answer:
                self._judge(answer)
                return await self._body(answer)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            kind = next(kind for known, kind in KINDS if isinstance(error, known))
            if isinstance(error, httpx.TimeoutException) and granted_s < FAIR_SHARE * timeout_s:
                kind = "deadline"
            raise DownstreamError(self.name, kind) from error

    def _judge(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if 200 <= status < 300:
            return
        after_s = retry_after_s(answer.headers)
        ours = 400 <= status < 500 and status not in {408, 429}
        raise DownstreamError(self.name, "client_error" if ours else "status", status=status, retry_after_s=after_s)

    async def _body(self, answer: httpx.Response) -> Any:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise DownstreamError(self.name, "malformed")  # never asked for: it could unpack to any size
        data = bytearray()
        async for chunk in answer.aiter_raw():
            data += chunk
            if len(data) > BODY_BYTES_MAX:
                raise DownstreamError(self.name, "too_large")
        try:
            return json.loads(data, parse_constant=_no_constant) if data else None
        except (ValueError, RecursionError):
            raise DownstreamError(self.name, "malformed") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
