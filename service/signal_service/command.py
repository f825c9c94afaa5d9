"""The command line behind ``python -m signal_service``."""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import uvicorn

from signal_service import app
from signal_service.config import settings as configuration
from signal_service.config.settings import Settings, SettingsError
from signal_service.edge import lifecycle, live_seams, preflight
from signal_service.edge.startup import StartupError
from signal_service.seams import Seams
from signal_service.security.logging import QUIET_LOGGERS, SecureLogging, configure_secure_logging

log = logging.getLogger(__name__)

FAILED, UNUSABLE = 1, 2
WATCH_AGAIN_S = 1.0


def _keep_out_of_collections() -> None:
    """What start-up made stays; a collection need not look at it again and again."""
    gc.collect()
    gc.freeze()


class _Parser(argparse.ArgumentParser):
    def __init__(self, usage: str) -> None:
        super().__init__(prog="python -m signal_service", usage=usage, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise SettingsError([f"arguments: {message}"])


def run(argv: list[str], usage: str) -> int:
    """Serve or check; returns the exit code."""
    checking = argv[:1] == ["preflight"]
    # The findings go to stdout, so the log has to go elsewhere.
    logs = configure_secure_logging(2 if checking else 1, levels={**QUIET_LOGGERS, "watchfiles": logging.WARNING})
    try:
        arguments = _parse(argv, usage)
        if arguments is None:
            sys.stdout.write(usage)
            return 0
        config, overrides = arguments.config, _overrides(arguments)
        if arguments.command == "preflight":
            return _check(arguments, overrides, logs)
        source = functools.partial(configuration.load, config, dict(os.environ), overrides)
        ground = Ground(live_seams.live_seams(logs.emit), functools.partial(_say, logs))
        return asyncio.run(boot(source, config, logs, ground))
    except SettingsError as error:
        for problem in error.problems:
            _say(logs, problem)
        return UNUSABLE
    finally:
        logs.close()


@dataclass(frozen=True, slots=True)
class Ground:
    """What a process stands on beside its seams; a simulated world has its own.

    Attributes:
        seams: the world.
        say: writes one line for a person.
        bind: makes the listener; raises OSError.
        threads: False in worlds without threads.
        made: called once the service stands, before the first client.
    """

    seams: Seams
    say: Callable[[str], None]
    bind: Callable[..., Any] = lifecycle.bind
    threads: bool = True
    made: Callable[[], object] = _keep_out_of_collections


def _check(arguments: argparse.Namespace, overrides: dict[str, Any], logs: SecureLogging) -> int:
    """Print what is wrong with the deployment; 0 when nothing is, 2 when there was no configuration to look at."""
    seams = live_seams.live_seams(_silent)
    machine = preflight.Machine.here()
    found = asyncio.run(preflight.inspect(arguments.config, os.environ, overrides, machine, seams))
    problems, notes = [_clean(logs, line) for line in found.problems], [_clean(logs, line) for line in found.notes]
    if arguments.json:
        text = json.dumps({"ok": not problems, "problems": problems, "notes": notes}, indent=1)
    else:
        number = f"{len(problems)} fault{'s' if len(problems) > 1 else ''}"
        word = "nothing to check" if found.unreadable else "refused"
        verdict = "preflight: " + (f"{word}, {number}" if problems else "ok")
        text = "\n".join([*problems, *(f"note: {note}" for note in notes), verdict])
    sys.stdout.write(text + "\n")
    if found.unreadable:
        return UNUSABLE
    return FAILED if problems else 0


def _silent(_event: str, /, **_: Any) -> None:
    """Preflight has no history."""


def _parse(argv: list[str], usage: str) -> argparse.Namespace | None:
    parser = _Parser(usage)
    parser.add_argument("command", nargs="?", choices=["serve", "preflight"], default="serve")
    parser.add_argument("--config", type=Path, default=os.environ.get("SIGNAL_CONFIG_FILE") or None)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    arguments = parser.parse_args(argv)
    return None if arguments.help else arguments


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in ("host", "port") if getattr(arguments, name) is not None}


def _refuse_dangers(settings: Settings) -> None:
    problems = settings.dangers()
    if problems:
        raise SettingsError(problems)


def _say(logs: SecureLogging, line: str) -> None:
    """One line for a person, on stderr, redacted like everything else."""
    sys.stderr.write(f"signal-service: {_clean(logs, line)}\n")
    sys.stderr.flush()


def _clean(logs: SecureLogging, line: str) -> str:
    """Redact a line's field and its text each for itself: "service_token: missing" looks like a token and is none."""
    name, colon, why = line.partition(": ")
    return logs.redactor.text(name) + colon + logs.redactor.text(why)


async def boot(source: Callable[[], Settings], config: Path | None, logs: SecureLogging, ground: Ground) -> int:
    """Read the settings, start, serve until a signal ends it, drain; returns the exit code.

    Why it failed is the last thing it says: who started it sees its last lines first.

    Raises:
        SettingsError: for settings that cannot or may not be.
    """
    settings = source()
    _refuse_dangers(settings)
    logs.add_secrets(*settings.secrets())
    logs.set_detail(settings.log_events)
    try:
        listener = ground.bind(settings.host, settings.port, shared=settings.workers > 1)
    except (OSError, UnicodeError) as error:  # the latter from names that no name server could be asked for
        reason = getattr(error, "strerror", None) or "no such host"
        ground.say(f"cannot bind {settings.host}:{settings.port} ({reason})")
        return FAILED
    with listener:
        try:
            await _live(settings, source, config, logs, listener, ground)
        except StartupError as error:
            ground.say(str(error))
            return FAILED
    return 0


async def _live(
    settings: Settings,
    source: Callable[[], Settings],
    config: Path | None,
    logs: SecureLogging,
    listener: Any,
    ground: Ground,
) -> None:
    """From the first client to the last; raises StartupError."""
    seams = ground.seams
    service = app.Service(
        settings, source, seams, redactor=logs.redactor, log_dropped=lambda: logs.dropped, threads=ground.threads
    )
    service.store.subscribe(lambda _, new: logs.set_detail(new.log_events))
    life = lifecycle.Lifecycle(seams.on_signal, service.bus, lambda: service.reload("sighup"))
    try:
        if not await lifecycle.unless_ending(service.start(), life.ending):
            return
        ground.made()
        watching = asyncio.ensure_future(_watch(service, seams, config))
        try:
            await _serve_until_drained(service, life, listener)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    finally:
        listener.close()
        await service.stop()
        life.close()


async def _watch(service: app.Service, seams: Seams, config: Path | None) -> None:
    """Reload whenever the file changes; a watch that fails begins again, or later changes would go unseen."""
    while config is not None:
        try:
            await seams.watch(config, lambda: service.reload("file"))
        except Exception:
            log.exception("the configuration file could not be watched")
        await seams.sleep(WATCH_AGAIN_S)
        service.reload("file")  # what changed while nobody watched


async def _serve_until_drained(service: app.Service, life: lifecycle.Lifecycle, listener: Any) -> None:
    store, seams = service.store, service.seams
    protocol = functools.partial(lifecycle.GuardedProtocol, limits=lambda: store.current.clients, emit=service.bus)
    server = lifecycle.DrainingServer(
        uvicorn.Config(
            service.asgi,
            http=protocol,  # type: ignore[arg-type] # a factory serves as well as a class
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=lifecycle.BACKLOG,
        ),
        drain=lambda: store.current.drain,
        emit=service.bus,
        sleep=seams.sleep,
        monotonic=seams.monotonic,
        in_flight=lambda: service.permits.in_flight("main") + service.permits.in_flight("critical"),
    )
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    ended = asyncio.ensure_future(life.ending.wait())
    await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    service.health.phase = "draining"
    await server.drain()
    await serving
