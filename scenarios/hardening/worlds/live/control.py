"""A unix socket in the run directory of a world that runs, through which faults are injected into it.

The world itself injects and heals; the caller only holds the connection (``hardening.worlds.rpc``). It sends
``{"fault": {...}, "for_s": 10}`` and receives ``{"state": "injected"}``, then ``{"state": "healed", "bit": ..., "bite":
{...}}``. A caller that goes away, however it goes, ends its fault. ``RefusedError`` when the world refuses or ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from hardening.faults.base import Fault, FaultError, HealError, UnsupportedTargetError
from hardening.faults.catalogue import build
from hardening.faults.run_directory import RunDirectory
from hardening.faults.schedule import Injection
from hardening.faults.targets import World
from hardening.worlds.live.service_process import ServiceProcess
from hardening.worlds.rpc import Caller, GoneError, RefusedError, encode, refusal

SOCKET = "control"
CLEAN_UP = "'hardening faults clean' removes what it left"


class WorldControl:
    """``async with WorldControl(world, run)``: the door is open inside; leaving heals what is still injected."""

    def __init__(self, world: World, run: RunDirectory) -> None:
        self._world = world
        self._path = run.path / SOCKET
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[tuple[str, str]] = set()

    async def until_ended(self, service: ServiceProcess) -> int:
        """Wait until the service has ended for good, and give its exit code.

        While a fault is injected, an end may be the fault's own work and the heal starts the service again: it
        counts only when it is still ended once every injection is over.
        """
        while True:
            code = await service.child.wait(None)
            if self._tasks:
                await asyncio.wait(self._tasks)
            if not service.child.running():
                return code

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._accept, self._path)
        self._path.chmod(0o600)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            # The caller went away or the world ends: what was injected is healed by now.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            fault, for_s = _request(json.loads(await reader.readline()))
            injection = Injection(fault, self._world)
            with self._alone(fault):
                await self._hold(injection, for_s, reader, writer)
        except UnsupportedTargetError as error:
            writer.write(encode({"error": str(error), "kind": "unsupported"}))
        except FaultError as error:
            writer.write(encode({"error": str(error), "kind": "usage"}))
        except HealError as error:
            writer.write(encode({"error": str(error), "kind": "heal"}))
        except Exception as error:  # noqa: BLE001 - the caller is to hear of it, whatever it is
            writer.write(encode(refusal(error)))
        else:
            assert injection.bite is not None
            writer.write(encode({"state": "healed", "bit": injection.bite.bit, "bite": dict(injection.bite.counts)}))
        with contextlib.suppress(OSError):
            await writer.drain()

    @staticmethod
    async def _hold(
        injection: Injection, for_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with injection:
            writer.write(encode({"state": "injected", "fault": injection.fault.to_json()}))
            # Any further byte, or the end of the connection, ends it early.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), for_s)

    @contextlib.contextmanager
    def _alone(self, fault: Fault) -> Iterator[None]:
        """Two of a kind on one target would heal each other and count each other's effect as their own."""
        key = (fault.kind, fault.target)
        if key in self._held:
            raise FaultError("fault.kind", fault.kind, f"one at a time on {fault.target}, and another holds it now")
        self._held.add(key)
        try:
            yield
        finally:
            self._held.discard(key)


def _request(data: object) -> tuple[Fault, float]:
    if not isinstance(data, Mapping) or set(data) != {"fault", "for_s"}:
        raise FaultError("request", data, "an object {fault, for_s}")
    for_s = data["for_s"]
    if not isinstance(for_s, int | float) or isinstance(for_s, bool) or not math.isfinite(for_s) or for_s < 0:
        raise FaultError("for_s", for_s, "a finite number of seconds, 0 or more")
    return build(data["fault"]), float(for_s)


async def inject_into(run_directory: Path, fault: Fault, for_s: float) -> AsyncIterator[dict[str, Any]]:
    """Have the world of ``run_directory`` hold a fault; gives its answers: injected, healed.

    Cancelled, it asks the world to heal and still waits for that.

    Raises:
        RefusedError: when the world refuses, fails, does not heal, or ends before it has said so.
        OSError: when no world listens there.
    """
    caller = await Caller.open(run_directory / SOCKET)
    try:
        caller.send({"fault": fault.to_json(), "for_s": for_s})
        state = ""
        while state != "healed":
            answer = await _answer_or_heal(caller)
            state = answer["state"]
            yield answer
    except GoneError as error:
        ended = f"the world ended before it said that {fault.kind} is healed; {CLEAN_UP}"
        raise RefusedError("world", ended) from error
    finally:
        await caller.close()


async def _answer_or_heal(caller: Caller) -> dict[str, Any]:
    """The next answer; when we are cancelled meanwhile, the fault ends early and the cancellation goes on after."""
    answering = asyncio.ensure_future(caller.receive())
    try:
        return await asyncio.shield(answering)
    except asyncio.CancelledError:
        caller.send({})
        with contextlib.suppress(RefusedError, GoneError):
            while (await answering)["state"] == "injected":
                answering = asyncio.ensure_future(caller.receive())
        raise
