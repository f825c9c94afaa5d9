"""Broken secrecy."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

from hardening.mutants.patching import put
from signal_service.admission.middleware import Exchange, Gate, Rule
from signal_service.api import routes
from signal_service.clients.errors import DownstreamError
from signal_service.clients.user import Entitlement, UserClient
from signal_service.security import patterns
from signal_service.security.audit import AuditLog
from signal_service.security.auth import KeyInfo, KeyRing
from signal_service.security.redaction import Redactor
from signal_service.store.cache import Cache
from signal_service.store.outbox import Outbox


def exception_texts_unredacted() -> None:
    """Lines are redacted, tracebacks are added after: redaction before formatting."""
    text = Redactor.text

    def lines_only(self: Redactor, whole: str) -> str:
        kept = [line if '"trace":' in line else text(self, line) for line in whole.split("\n")]
        return "\n".join(kept)

    put(Redactor, "text", lines_only)


def redaction_backtracks() -> None:
    """One pattern without a bound: linear on every line one thinks of, quadratic on the one that comes."""
    text = Redactor.text
    addresses = re.compile(r"(?:\w@)+\.example")

    def slowly(self: Redactor, whole: str) -> str:
        # Of a longer line the first part is enough: a second of it; unbounded, one line would take hours.
        addresses.search(whole[:24_000])
        return text(self, whole)

    put(Redactor, "text", slowly)


def digits_redacted() -> None:
    """Every long number is taken for a card: prices, volumes and times are gone from the logs."""
    text = Redactor.text

    def eager(self: Redactor, whole: str) -> str:
        lines = text(self, whole).split("\n")
        return "\n".join(re.sub(r"\d{6,}", "0", line) if '"logger":' in line else line for line in lines)

    put(Redactor, "text", eager)


def scopes_not_checked() -> None:
    """A valid key is enough, whatever it is for."""
    check = KeyRing.check

    def generous(self: KeyRing, header: str | bytes | None) -> KeyInfo | None:
        found = check(self, header)
        everything = frozenset({"signals", "alerts", "metrics", "admin"})
        return None if found is None else dataclasses.replace(found, scopes=everything)

    put(KeyRing, "check", generous)


def audit_loses_records() -> None:
    """Every second record is dropped on the way to the disk; the chain of the rest is intact."""
    record = AuditLog.record
    turn = itertools.count()

    def lossy(self: AuditLog, *args: Any, **kwargs: Any) -> bool:
        return record(self, *args, **kwargs) if next(turn) % 2 else True

    put(AuditLog, "record", lossy)


def audit_failure_ignored() -> None:
    """The audit log says it is healthy when it cannot be written: changes go on unseen."""
    put(AuditLog, "healthy", property(lambda self: True))
    put(AuditLog, "flush", lambda self, timeout_s: True)


def audit_write_not_flushed() -> None:
    """What was written lies in a buffer until the next write pushes it out; the last record lies there for ever."""
    write = AuditLog._write
    held: list[dict[str, Any]] = []

    def lazily(self: AuditLog, batch: list[dict[str, Any]]) -> None:
        held.extend(batch)
        if held[:-1]:
            write(self, held[:-1])
            del held[:-1]

    put(AuditLog, "_write", lazily)


def own_secrets_not_known() -> None:
    """The redactor is made before the settings are read, and never told what they hold."""
    put(Redactor, "add", lambda self, *secrets: None)
    init = Redactor.__init__
    put(Redactor, "__init__", lambda self, own_secrets=(): init(self))


def entitlement_shared_between_users() -> None:
    """Entitlements are kept under a key without the user in it: what one may see, everybody may."""
    for name in ("get", "peek", "stale"):
        put(Cache, name, _under_one_key(getattr(Cache, name)))


def entitled_to_all_or_nothing() -> None:
    """Whoever has a plan sees every symbol, whatever the plan holds."""
    put(Entitlement, "allows", lambda self, _symbol: self.active)


def first_symbol_decides() -> None:
    """Of a batch only the first symbol is looked up in the entitlement."""
    entitled = routes.entitled

    async def hasty(desk: Any, symbols: Any) -> None:
        await entitled(desk, list(symbols)[:1])

    put(routes, "entitled", hasty)


def _under_one_key(ask: Any) -> Any:
    def asked(self: Cache[Any], key: str, *more: Any) -> Any:
        return ask(self, "entitlement" if key.startswith("entitlement:") else key, *more)

    return asked


def answers_shared_between_users() -> None:
    """The whole answer is kept for a second, with the name of the user it was made for."""
    compute = routes.compute
    kept: dict[tuple[str, str, tuple[str, ...]], dict[str, Any]] = {}

    async def shared(desk: Any, symbol: str, timeframe: str, names: Any) -> dict[str, Any]:
        key = (symbol, timeframe, tuple(names))
        if key not in kept:
            kept[key] = await compute(desk, symbol, timeframe, names)
        return kept[key]

    put(routes, "compute", shared)


def cards_without_luhn() -> None:
    """Any long number is taken for a card: order and trade numbers disappear from the log."""
    put(patterns, "_is_card", lambda digits: 13 <= len(digits) <= 19)


def documents_for_everybody() -> None:
    """The pages that say what the service can do are public: they are only documentation."""
    find = routes.find_entry

    def open_door(path: str) -> Rule:
        entry = find(path)
        return dataclasses.replace(entry, scope=None) if entry.name == "docs" else entry

    put(routes, "find_entry", open_door)


def keys_of_all_users_in_one_place() -> None:
    """An idempotency key is remembered without its user: who uses another's key gets the other's alert."""
    put(Outbox, "_record", lambda self, user, key: f"{self.names.record}{key}")


def audit_names_no_request() -> None:
    """Records are written where the request is not at hand any more."""
    record = AuditLog.record

    def aside(self: AuditLog, action: str, actor: str, outcome: str, _request_id: str = "", **fields: Any) -> bool:
        return record(self, action, actor, outcome, "", **fields)

    put(AuditLog, "record", aside)


def audit_names_nobody() -> None:
    """Whoever is refused is unknown to the audit log, known or not."""
    record = AuditLog.record

    def blind(self: AuditLog, action: str, _actor: str, outcome: str, request_id: str = "", **fields: Any) -> bool:
        return record(self, action, "unknown", outcome, request_id, **fields)

    put(AuditLog, "record", blind)


def unknown_means_allowed() -> None:
    """The user service does not answer, and so as not to lose a customer everybody may see everything."""
    entitlement = UserClient.entitlement

    async def generous(self: UserClient, user: str) -> Entitlement:
        try:
            return await entitlement(self, user)
        except DownstreamError:
            return Entitlement(user, "pro", True, frozenset({"*"}))

    put(UserClient, "entitlement", generous)


def user_by_header() -> None:
    """A header that a proxy used to set says who the user is; now anybody sets it."""
    identify = Gate._identify

    def trusting(self: Gate, exchange: Exchange) -> None:
        identify(self, exchange)
        exchange.context.user = exchange.headers.get(b"x-user", exchange.context.user.encode()).decode()

    put(Gate, "_identify", trusting)


def keys_in_query_strings() -> None:
    """Somebody's client cannot set headers, so the key may stand in the query string, and so in every proxy's log."""
    identify = Gate._identify

    def obliging(self: Gate, exchange: Exchange) -> None:
        named = re.search(rb"api_key=([^&]+)", exchange.scope.get("query_string", b""))
        if named:
            exchange.headers.setdefault(b"x-api-key", named[1])
        identify(self, exchange)

    put(Gate, "_identify", obliging)
