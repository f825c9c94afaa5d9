"""Mutants of C4: redaction, keys and scopes, one user's data, the audit log."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

from hardening.mutants.mutant import breaks, put
from signal_service.admission.middleware import Exchange, Gate, Rule
from signal_service.api import routes
from signal_service.app import Service
from signal_service.clients.errors import DownstreamError
from signal_service.clients.factory import Entitlement, UserClient
from signal_service.config.settings import Settings
from signal_service.security import patterns
from signal_service.security.audit import AuditLog
from signal_service.security.auth import KeyInfo, KeyRing
from signal_service.security.redaction import Redactor
from signal_service.store.cache import Cache
from signal_service.store.outbox import Outbox


@breaks("C4.1", shown_by="secrets")
def exception_texts_unredacted() -> None:
    """Lines are redacted before the traceback is added, so the traceback is not."""
    text = Redactor.text

    def lines_only(self: Redactor, whole: str) -> str:
        kept = [line if '"trace":' in line else text(self, line) for line in whole.split("\n")]
        return "\n".join(kept)

    put(Redactor, "text", lines_only)


@breaks("C4.1", shown_by="secrets")
def own_secrets_not_known() -> None:
    """The redactor never learns the secrets in the settings."""
    put(Redactor, "add", lambda self, *secrets: None)
    init = Redactor.__init__
    put(Redactor, "__init__", lambda self, own_secrets=(): init(self))


@breaks("C4.2", shown_by="secrets")
def digits_redacted() -> None:
    """Every number of six digits is redacted: prices, volumes and times are gone from the logs."""
    text = Redactor.text

    def eager(self: Redactor, whole: str) -> str:
        lines = text(self, whole).split("\n")
        return "\n".join(re.sub(r"\d{6,}", "0", line) if '"logger":' in line else line for line in lines)

    put(Redactor, "text", eager)


@breaks("C4.2", shown_by="secrets")
def cards_without_luhn() -> None:
    """Every number of card length is redacted without the Luhn check: order and trade numbers disappear."""
    put(patterns, "_is_card", lambda digits: 13 <= len(digits) <= 19)


@breaks("C4.3", shown_by="hostile-lines", world="live")
def redaction_backtracks() -> None:
    """One pattern backtracks: linear on ordinary lines, quadratic on a hostile one."""
    text = Redactor.text
    addresses = re.compile(r"(?:\w@)+\.example")

    def slowly(self: Redactor, whole: str) -> str:
        # Of a longer line the first part is enough: a second of it; unbounded, one line would take hours.
        addresses.search(whole[:24_000])
        return text(self, whole)

    put(Redactor, "text", slowly)


@breaks("C4.4", shown_by="secrets")
def audit_loses_records() -> None:
    """Every second record is dropped on the way to the disk; the chain of the rest is intact."""
    record = AuditLog.record
    turn = itertools.count()

    def lossy(self: AuditLog, *args: Any, **kwargs: Any) -> bool:
        return record(self, *args, **kwargs) if next(turn) % 2 else True

    put(AuditLog, "record", lossy)


@breaks("C4.4", shown_by="secrets")
def audit_write_not_flushed() -> None:
    """The last audit record stays in a buffer until the next one is written."""
    write = AuditLog._write
    held: list[dict[str, Any]] = []

    def lazily(self: AuditLog, batch: list[dict[str, Any]]) -> None:
        held.extend(batch)
        if held[:-1]:
            write(self, held[:-1])
            del held[:-1]

    put(AuditLog, "_write", lazily)


@breaks("C4.4", shown_by="secrets")
def audit_names_no_request() -> None:
    """Audit records carry no request id."""
    record = AuditLog.record

    def aside(self: AuditLog, action: str, actor: str, outcome: str, _request_id: str = "", **fields: Any) -> bool:
        return record(self, action, actor, outcome, "", **fields)

    put(AuditLog, "record", aside)


@breaks("C4.4", shown_by="secrets")
def audit_names_nobody() -> None:
    """Audit records name no actor, known or not."""
    record = AuditLog.record

    def blind(self: AuditLog, action: str, _actor: str, outcome: str, request_id: str = "", **fields: Any) -> bool:
        return record(self, action, "unknown", outcome, request_id, **fields)

    put(AuditLog, "record", blind)


@breaks("C4.5", shown_by="secrets")
def scopes_not_checked() -> None:
    """Any valid key opens every route."""
    check = KeyRing.check

    def generous(self: KeyRing, header: str | bytes | None) -> KeyInfo | None:
        found = check(self, header)
        everything = frozenset({"signals", "alerts", "metrics", "admin"})
        return None if found is None else dataclasses.replace(found, scopes=everything)

    put(KeyRing, "check", generous)


@breaks("C4.5", shown_by="secrets")
def answers_shared_between_users() -> None:
    """An answer is cached whole, with the name of the user that it was made for."""
    compute = routes.compute
    kept: dict[tuple[str, str, tuple[str, ...]], dict[str, Any]] = {}

    async def shared(desk: Any, symbol: str, timeframe: str, names: Any) -> dict[str, Any]:
        key = (symbol, timeframe, tuple(names))
        if key not in kept:
            kept[key] = await compute(desk, symbol, timeframe, names)
        return kept[key]

    put(routes, "compute", shared)


@breaks("C4.5", shown_by="secrets")
def documents_for_everybody() -> None:
    """The API documentation is public."""
    find = routes.find_entry

    def open_door(path: str) -> Rule:
        entry = find(path)
        return dataclasses.replace(entry, scope=None) if entry.name == "docs" else entry

    put(routes, "find_entry", open_door)


@breaks("C4.5", shown_by="alert-outage")
def keys_of_all_users_in_one_place() -> None:
    """An idempotency key is stored without its user: a user who sends another's key gets the other's alert."""
    put(Outbox, "_record", lambda self, user, key: f"{self.names.record}{key}")


def _under_one_key(ask: Any) -> Any:
    def asked(self: Cache[Any], key: str, *more: Any) -> Any:
        return ask(self, "entitlement" if key.startswith("entitlement:") else key, *more)

    return asked


@breaks("C4.5", shown_by="secrets")
def entitlement_shared_between_users() -> None:
    """Entitlements are cached under a key without the user: what one user may see, every user may."""
    for name in ("get", "peek", "stale"):
        put(Cache, name, _under_one_key(getattr(Cache, name)))


@breaks("C4.5", shown_by="secrets")
def entitled_to_all_or_nothing() -> None:
    """A user with any plan sees every symbol."""
    put(Entitlement, "allows", lambda self, _symbol: self.active)


@breaks("C4.5", shown_by="secrets")
def first_symbol_decides() -> None:
    """Only the first symbol of a batch is checked against the entitlement."""
    entitled = routes.entitled

    async def hasty(desk: Any, symbols: Any) -> None:
        await entitled(desk, list(symbols)[:1])

    put(routes, "entitled", hasty)


@breaks("C4.5", shown_by="reload-while-open")
def old_keys_kept() -> None:
    """A reload does not reach the key ring: a removed key still opens."""
    apply = Service._apply

    def forgetful(self: Service, old: Settings, new: Settings) -> None:
        keys = self.keys
        apply(self, old, new)
        self.keys = keys

    put(Service, "_apply", forgetful)


@breaks("C4.5", shown_by="secrets")
def keys_in_query_strings() -> None:
    """A key is accepted in the query string, and so ends up in every proxy's log."""
    identify = Gate._identify

    def obliging(self: Gate, exchange: Exchange) -> None:
        named = re.search(rb"api_key=([^&]+)", exchange.scope.get("query_string", b""))
        if named:
            exchange.headers.setdefault(b"x-api-key", named[1])
        identify(self, exchange)

    put(Gate, "_identify", obliging)


@breaks("C4.5", shown_by="hiccups")
def unknown_means_allowed() -> None:
    """While the user service does not answer, every user may see everything."""
    entitlement = UserClient.entitlement

    async def generous(self: UserClient, user: str) -> Entitlement:
        try:
            return await entitlement(self, user)
        except DownstreamError:
            return Entitlement(user, "pro", True, frozenset({"*"}))

    put(UserClient, "entitlement", generous)


@breaks("C4.5", shown_by="secrets")
def user_by_header() -> None:
    """A request header names the user, and any client can set it."""
    identify = Gate._identify

    def trusting(self: Gate, exchange: Exchange) -> None:
        identify(self, exchange)
        exchange.context.user = exchange.headers.get(b"x-user", exchange.context.user.encode()).decode()

    put(Gate, "_identify", trusting)


@breaks("C4.6", shown_by="full-disk")
def audit_failure_ignored() -> None:
    """The audit log reports healthy when it cannot be written: admin changes go on unrecorded."""
    put(AuditLog, "healthy", property(lambda self: True))
    put(AuditLog, "flush", lambda self, timeout_s: True)
