"""The settings: frozen models, read from a file and the environment, swapped whole and never in place.

The figures are those of the claims. ``load`` is the only reader: a file (JSON or TOML) lies below, the environment
on top, and what neither knows is refused by name: a misspelt figure must not silently become its default.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from signal_service.config import dangers

Scope = Literal["signals", "alerts", "metrics", "admin"]
Share = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]

PLAIN_NAMES = {
    "REDIS_URL": ("redis_url",),
    "SERVICE_TOKEN": ("service_token",),
    "TICKER_SERVICE_URL": ("downstreams", "ticker", "url"),
    "USER_SERVICE_URL": ("downstreams", "user", "url"),
    "ALERT_SERVICE_URL": ("downstreams", "alert", "url"),
    "COMMS_SERVICE_URL": ("downstreams", "comms", "url"),
}
"""Environment variables that deployments already use, and the field each one sets."""

PREFIX = "SIGNAL_"
NEEDS_RESTART = (
    *("host", "port", "environment", "workers", "redis_url", "service_token", "audit_path", "audit_key"),
    *("cors_origins", "cache.prefix", "outbox.prefix", "clients.connections"),
    *(f"downstreams.{name}.{part}" for name in ("ticker", "user", "alert", "comms") for part in ("url", "concurrency")),
)
"""Fields that a reload may not change: sockets, clients and files are built from them once."""


class SettingsError(ValueError):
    """The settings cannot be used.

    Attributes:
        problems: one line each, ``field: what is wrong``; never a value, it might be a secret.
        field: dotted name of the first field that is wrong.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.field = problems[0].split(":", 1)[0] if problems else ""


class Frozen(BaseModel):
    """Base of every model here."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


class ApiKey(Frozen):
    """A client's key; the key itself is stored nowhere, only its SHA-256 in hexadecimal."""

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    key_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    user: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.@-]+$")
    scopes: tuple[Scope, ...] = Field(default=("signals",), min_length=1)
    priority: Literal["high", "normal", "low"] = "normal"


class BreakerSettings(Frozen):
    """Failed calls in a row that open it, seconds it stays open, seconds a probe may hold its lease."""

    failures: int = Field(default=3, ge=1, le=1000)
    open_s: Seconds = 60.0
    probe_lease_s: Seconds = 5.0


class Downstream(Frozen):
    """One downstream: its address, the time of one attempt, connections at once, breaker, retries."""

    url: str = "http://127.0.0.1:9000"
    timeout_s: Seconds = 2.0
    concurrency: int = Field(default=20, ge=1, le=1000)
    breaker: BreakerSettings = BreakerSettings()
    retries: int = Field(default=2, ge=0, le=10)

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be http://host[:port] or https://host[:port]")
        _check_port(parts)
        if parts.username or parts.password or parts.query:
            raise ValueError("must hold neither credentials nor a query")
        return url.rstrip("/")


def _check_port(parts: SplitResult) -> None:
    """In our words: the library's quote what it took for a port, and in an unescaped URL that is part of a password."""
    with contextlib.suppress(ValueError):
        if parts.port != 0:
            return
    raise ValueError("its port must be a number from 1 to 65535")


def _downstream(port: int, failures: int, open_s: float, retries: int, concurrency: int) -> Downstream:
    breaker = BreakerSettings(failures=failures, open_s=open_s)
    return Downstream(url=f"http://127.0.0.1:{port}", breaker=breaker, retries=retries, concurrency=concurrency)


DOWNSTREAM_DEFAULTS = {
    "ticker": _downstream(9001, 3, 60.0, 2, 50),
    "user": _downstream(9002, 5, 45.0, 3, 50),
    "alert": _downstream(9003, 2, 30.0, 2, 10),
    "comms": _downstream(9004, 2, 30.0, 2, 10),
}


class Downstreams(Frozen):
    """The four downstreams; what a file leaves out keeps that downstream's own default."""

    ticker: Downstream = DOWNSTREAM_DEFAULTS["ticker"]
    user: Downstream = DOWNSTREAM_DEFAULTS["user"]
    alert: Downstream = DOWNSTREAM_DEFAULTS["alert"]
    comms: Downstream = DOWNSTREAM_DEFAULTS["comms"]

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {
            name: _overlay(DOWNSTREAM_DEFAULTS[name].model_dump(), value)
            if name in DOWNSTREAM_DEFAULTS and isinstance(value, Mapping)
            else value
            for name, value in data.items()
        }


class Retry(Frozen):
    """Waits between attempts (full jitter from ``base_s`` doubling to ``cap_s``) and the budget of all retries."""

    base_s: Seconds = 0.2
    cap_s: Seconds = 2.0
    budget_share: Share = 0.2
    budget_min: int = Field(default=3, ge=0, le=1000)
    budget_window_s: Seconds = 10.0


class Startup(Frozen):
    """How long dependencies are waited for: an attempt, all of it, and the waits between."""

    attempt_s: Seconds = 5.0
    total_s: Seconds = 60.0
    base_s: Seconds = 0.5
    cap_s: Seconds = 5.0


class Budgets(Frozen):
    """What the process may use; see the figures of the claims."""

    in_flight: int = Field(default=50, ge=1, le=10_000)
    critical_reserve: int = Field(default=5, ge=1, le=100)
    memory_mb: int = Field(default=512, ge=64, le=1_048_576)
    cpu_share: float = Field(default=0.85, gt=0, le=64)
    cpu_window_s: Seconds = 5.0
    accepted_per_window: Count = 300
    window_s: Seconds = 60.0
    request_s: float = Field(default=5.0, gt=0, le=60, allow_inf_nan=False)
    loop_lag_ms: float = Field(default=250.0, ge=1, le=10_000)


class Levels(Frozen):
    """Thresholds of utilisation, and when a level is left again."""

    light: Share = 0.70
    moderate: Share = 0.85
    heavy: Share = 0.95
    margin: float = Field(default=0.10, ge=0, lt=1)
    hold_s: float = Field(default=5.0, ge=0, le=600)
    sample_s: float = Field(default=0.25, ge=0.01, le=10)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if not self.margin < self.light < self.moderate < self.heavy:
            raise ValueError("must ascend: margin < light < moderate < heavy")
        return self


class CacheSettings(Frozen):
    """Seconds fresh, seconds beyond that a stale answer may be given, entries in process, prefix in Redis."""

    ttl_s: Seconds = 60.0
    stale_s: float = Field(default=300.0, ge=0, le=86_400)
    entries: Count = 10_000
    prefix: str = Field(default="signal:cache:", min_length=1, max_length=64)


class OutboxSettings(Frozen):
    """The alerts on their way out: how many may wait, the waits between tries, how long a key is remembered."""

    capacity: Count = 10_000
    prefix: str = Field(default="signal:outbox:", min_length=1, max_length=64)
    base_s: Seconds = 0.5
    cap_s: Seconds = 30.0
    claim_idle_s: Seconds = 5.0
    key_ttl_s: float = Field(default=86_400.0, ge=60, le=2_592_000)
    batch: int = Field(default=16, ge=1, le=1000)


class Drain(Frozen):
    """Seconds between readiness false and the listener's end, and the most that in-flight requests get after."""

    readiness_s: float = Field(default=1.0, ge=0, le=60)
    max_s: float = Field(default=10.0, ge=0, le=300)


class ClientLimits(Frozen):
    """What a client may take: seconds for its head and body, bytes of body, connections in all."""

    head_s: Seconds = 10.0
    body_s: Seconds = 10.0
    body_bytes: int = Field(default=1_000_000, ge=1024, le=100_000_000)
    connections: int = Field(default=200, ge=1, le=100_000)


class Settings(Frozen):
    """All of it. A changed setting is a new ``Settings``."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8080, ge=0, le=65535)
    environment: Literal["production", "staging", "test", "development"] = "production"
    workers: int = Field(default=1, ge=1, le=64)
    debug: bool = False
    log_events: Literal["summary", "all"] = "summary"
    cors_origins: tuple[str, ...] = ()
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    service_token: SecretStr = SecretStr("")
    audit_key: SecretStr | None = None
    audit_path: Path = Path("audit.jsonl")
    api_keys: tuple[ApiKey, ...] = ()
    downstreams: Downstreams = Downstreams()
    retry: Retry = Retry()
    startup: Startup = Startup()
    budgets: Budgets = Budgets()
    levels: Levels = Levels()
    cache: CacheSettings = CacheSettings()
    outbox: OutboxSettings = OutboxSettings()
    drain: Drain = Drain()
    clients: ClientLimits = ClientLimits()

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("its scheme must be redis, rediss or unix")
        _check_port(parts)
        return url

    @field_validator("api_keys")
    @classmethod
    def _unique(cls, keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
        if len({key.id for key in keys}) < len(keys) or len({key.key_sha256 for key in keys}) < len(keys):
            raise ValueError("two keys share an id or a digest")
        return keys

    def secrets(self) -> tuple[str, ...]:
        """The service's own secrets, for the redactor: the token, the audit key, and the password in the Redis URL."""
        url = self.redis_url.get_secret_value()
        found = [self.service_token.get_secret_value(), url, urlsplit(url).password or ""]
        if self.audit_key is not None:
            found.append(self.audit_key.get_secret_value())
        return tuple(secret for secret in found if secret)

    def public(self) -> dict[str, Any]:
        """Everything as JSON, secrets masked and the keys' digests left out."""
        data: dict[str, Any] = self.model_dump(mode="json")
        for key in data["api_keys"]:
            del key["key_sha256"]
        return data

    def digest(self) -> str:
        """``sha256:`` of the public view in canonical JSON."""
        text = json.dumps(self.public(), sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def dangers(self) -> list[str]:
        """Settings that are well formed and still no way to run in production, one line each, naming the field."""
        if self.environment == "development":
            return []
        found = ["debug: must be off outside development"] if self.debug else []
        found += dangers.origin_dangers(self.cors_origins)
        found += dangers.key_dangers([(key.id, key.key_sha256) for key in self.api_keys])
        found += dangers.secret_dangers("service_token", self.service_token.get_secret_value())
        if self.audit_key is not None:
            found += dangers.secret_dangers("audit_key", self.audit_key.get_secret_value())
        found += dangers.password_dangers(
            "redis_url", unquote(urlsplit(self.redis_url.get_secret_value()).password or "")
        )
        return found


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of ``path``, overridden by ``environ``, overridden by ``overrides`` (the command line).

    Raises:
        SettingsError: when the file is missing or malformed, or a field is unknown or out of bounds.
    """
    return build(gather(path, environ, overrides))


def gather(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The settings as plain data, not yet checked.

    Raises:
        SettingsError: when the file is missing or malformed.
    """
    data = _overlay(_read(path) if path is not None else {}, _from_environment(environ))
    return _overlay(data, overrides or {})


def build(data: Mapping[str, Any]) -> Settings:
    """Check plain data.

    Raises:
        SettingsError: naming each field that is wrong.
    """
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        problems = [f"{_dotted(one['loc'])}: {_plainly(one['type'], one['msg'])}" for one in error.errors()]
        raise SettingsError(problems) from None


def _plainly(kind: str, message: str) -> str:
    return "there is no such setting" if kind == "extra_forbidden" else message.removeprefix("Value error, ")


def _dotted(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc) or "settings"


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise SettingsError([f"config: cannot read {path.name} ({error.strerror})"]) from None
    except (ValueError, RecursionError) as error:  # the decoders', and bad UTF-8; they tell positions, no contents
        reason = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise SettingsError([f"config: {path.name} is malformed ({reason})"]) from None
    if not isinstance(data, dict):
        raise SettingsError([f"config: {path.name} must hold one object"])
    return data


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in environ.items():
        if name in PLAIN_NAMES:
            path: tuple[str, ...] = PLAIN_NAMES[name]
        elif name.startswith(PREFIX) and name != "SIGNAL_CONFIG_FILE":
            path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        else:
            continue
        value: Any = text
        if text[:1] in {"[", "{"}:
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                raise SettingsError([f"{'.'.join(path)}: {name} is malformed JSON"]) from None
        for part in reversed(path):
            value = {part: value}
        found = _overlay(found, value)
    return found


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = _overlay(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
