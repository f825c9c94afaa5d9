"""Somebody else's library inside the service's process, that logs secrets in every way a library can.

A service cannot choose what its libraries log; it can choose what leaves the process. The texts come through the
environment as JSON: ``{"secrets": [{"kind", "value"}], "keep": [text], "said": [{"how", "parts"}],
"hostile_bytes": n}``; each goes through the ordinary logging.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
import urllib.parse
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

VARIABLE = "HARDENING_LEAKY_LIBRARY"
LOGGER = "some.library"
BARE_KINDS = frozenset({"own", "api_key", "jwt", "url", "card", "email", "phone"})
"""Kinds that are known for what they are; any other text is a secret only beside a name such as ``password``."""

FRAMED = {
    "pem": "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
    "bearer": "Authorization: Bearer {}",
    "url_password": "redis://:{}@cache:6379/0",
}
"""Kinds that are known by what stands around them."""

HOSTILE_MARK = "hostile line"
HOSTILE_UNITS = ("a@", "1234 ", "password=", "Bearer eyJ", "sk_", "%41%40", "://u:", '\\u0041"', "-----BEGIN ")
"""Beginnings of secrets, repeated to a megabyte: what makes a careless pattern take quadratic time."""

_LOGGING_READY_S_MAX = 10.0
SIMULATED_AFTER_S = 0.5
_HOSTILE_AFTER_S = 3.5
"""By then the service serves, and somebody watches its loop."""
_HOSTILE_EVERY_S = 0.4


def variables(
    secrets: Sequence[Mapping[str, str]] = (),
    keep: Sequence[str] = (),
    hostile_bytes: int = 0,
    said: Sequence[Mapping[str, Any]] = (),
) -> dict[str, str]:
    """The environment that makes the launcher start it.

    Args:
        secrets: each is logged in every way of ``leak``.
        keep: harmless texts, logged as they are.
        hostile_bytes: size of lines that stall a careless redactor.
        said: ``{"how", "parts"}`` each, as ``say`` takes them.
    """
    chosen = [{"kind": secret["kind"], "value": secret["value"]} for secret in secrets]
    return {
        VARIABLE: json.dumps(
            {"secrets": chosen, "keep": list(keep), "hostile_bytes": hostile_bytes, "said": list(said)}
        )
    }


def start_from_environment() -> None:
    """Start the library's thread when the environment asks for it; the variable is gone afterwards."""
    text = os.environ.pop(VARIABLE, "")
    if text:
        threading.Thread(target=_leak_all, args=(json.loads(text),), name="leaky-library", daemon=True).start()


def _leak_all(plan: Mapping[str, Any]) -> None:
    end = time.monotonic() + _LOGGING_READY_S_MAX
    while not logging.getLogger().handlers and time.monotonic() < end:
        time.sleep(0.02)
    _leak_plan(plan)
    if plan["hostile_bytes"]:
        time.sleep(_HOSTILE_AFTER_S)
        for number, unit in enumerate(HOSTILE_UNITS):
            line = unit * (plan["hostile_bytes"] // len(unit) + 1)
            logging.getLogger(LOGGER).warning("%s %d %s", HOSTILE_MARK, number, line)
            time.sleep(_HOSTILE_EVERY_S)


def start_simulated(environment: Mapping[str, str]) -> asyncio.TimerHandle:
    """The same in a world without threads, from a timer. Hostile lines are left out: they cost real time."""
    plan = json.loads(environment.get(VARIABLE, "{}"))
    return asyncio.get_running_loop().call_later(SIMULATED_AFTER_S, _leak_simulated, plan)


def _leak_simulated(plan: Mapping[str, Any]) -> None:
    with warnings.catch_warnings():
        # The service has filters of its own: a test run around the simulation may turn warnings into errors.
        warnings.simplefilter("always")
        _leak_plan(plan)


def _leak_plan(plan: Mapping[str, Any]) -> None:
    for secret in plan.get("secrets", ()):
        leak(secret["kind"], secret["value"])
    for one in plan.get("said", ()):
        say(one["how"], one["parts"])
    for text in plan.get("keep", ()):
        logging.getLogger(LOGGER).warning("%s", text)


def framed(kind: str, value: str, beside: str = "password={}") -> str:
    """A secret as it stands in a text: with what it is known by, ``beside`` for what is known by its name alone."""
    return FRAMED.get(kind, "{}" if kind in BARE_KINDS else beside).format(value)


def leak(kind: str, value: str) -> None:
    """Log one secret: message, argument, extra, nested, URL-encoded, exception text, chained traceback, warning."""
    log = logging.getLogger(LOGGER)
    shown = framed(kind, value)
    encoded = urllib.parse.quote(value, safe="")
    log.warning(f"connecting with {shown} failed")
    log.warning("retrying with %s", shown)
    log.warning("a record with an extra", extra={"detail": {"nested": [{"password": value}, shown]}})
    log.warning("GET https://example.org/v1/things?page=2&api_key=%s&limit=5", encoded)
    try:
        try:
            raise ConnectionError(f"authentication with {shown} refused")
        except ConnectionError as inner:
            raise RuntimeError(f"giving up on {shown}") from inner
    except RuntimeError:
        log.exception("a library call failed")
    warnings.warn(f"deprecated credential {shown}", UserWarning, stacklevel=1)


WAYS = ("message", "argument", "extra", "nested", "traceback", "chained", "warning")


def say(how: str, parts: Sequence[str]) -> None:
    """Log some texts in one of ``WAYS``; ``extra`` puts each part into a field of its own, the others join them."""
    log, text = logging.getLogger(LOGGER), "".join(parts)
    if how == "message":
        log.warning(text)
    elif how == "argument":
        log.warning("it said: %s", text)
    elif how == "extra":
        log.warning("a record in pieces", extra={f"part_{number}": part for number, part in enumerate(parts)})
    elif how == "nested":
        log.warning("a deep record", extra={"detail": {"tried": [{"reply": [text]}]}})
    elif how == "warning":
        warnings.warn(text, UserWarning, stacklevel=1)
    else:
        try:
            try:
                raise ConnectionError(text)
            except ConnectionError as inner:
                if how == "traceback":
                    raise
                raise RuntimeError("giving up") from inner
        except (ConnectionError, RuntimeError):
            log.exception("a library call failed")
