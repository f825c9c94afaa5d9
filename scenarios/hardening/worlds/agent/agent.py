"""The agent inside a process under test: what cannot be done to a process from outside, it does on request.

The launcher starts it before the service is imported; the service knows nothing of it. It listens on a unix
socket in the run directory, on threads of its own, so that it answers while the event loop is blocked. Requests
(``hardening.worlds.rpc``) are ``{"do": "hold", "what": "memory", "with": {...}}``, then ``read`` and ``release``.

**A hold lasts as long as its connection.** A harness that dies, however it dies, closes its sockets, and the
agent lets go of everything that it held for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from hardening.worlds.agent.files import FullAudit, FullLogs, SilentReader
from hardening.worlds.agent.holds import AddressSpace, Ballast, Descriptors, Spin
from hardening.worlds.agent.seams import Lookups, LoopWatch, MovedClock, NameFailure, WallClock
from hardening.worlds.rpc import encode, refusal

_PATH_BYTES_MAX = 100


class AgentError(RuntimeError):
    """The agent could not do what was asked; the message says what and why."""


def _slots_in_use() -> int:
    from hardening.worlds.shared.pool_slots import slots_in_use  # noqa: PLC0415 - the agent is there before the service is

    return slots_in_use()


class Hold(Protocol):
    """Something taken from the process, given back by ``release``."""

    def says(self) -> Mapping[str, Any]:
        """How it was taken (``means``) and how much."""

    def reading(self) -> Mapping[str, float]:
        """Counts so far."""

    def release(self) -> Mapping[str, float]:
        """Give it back; returns the final counts. Called once."""


class Agent:
    """Serves one process. ``start`` patches the few seams that some means need; nothing changes until a hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = WallClock()
        self.lookups = Lookups()
        self.loops = LoopWatch()
        self._lock = threading.Lock()
        self._exclusive: set[str] = set()
        self._makers: Mapping[str, Callable[..., Hold]] = {
            "memory": Ballast,
            "address_space": AddressSpace,
            "cpu": Spin,
            "descriptors": Descriptors,
            "clock": lambda **given: MovedClock(self.clock, **given),
            "name": lambda **given: NameFailure(self.lookups, **given),
            "audit": FullAudit,
            "logs": FullLogs,
            "log_reader": SilentReader,
        }

    def start(self) -> None:
        """Patch the seams and listen.

        Raises:
            AgentError: when the path is too long for a unix socket.
        """
        if len(os.fsencode(self.path)) > _PATH_BYTES_MAX:
            raise AgentError(f"--agent is {str(self.path)!r}, allowed: a path of at most {_PATH_BYTES_MAX} bytes")
        self.clock.install()
        self.lookups.install()
        self.loops.install()
        listener = socket.socket(socket.AF_UNIX)
        # The process before us, killed and started again, left its socket there.
        self.path.unlink(missing_ok=True)
        listener.bind(str(self.path))
        listener.listen(16)
        threading.Thread(target=self._accept, args=(listener,), name="fault-agent", daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                # No descriptor is left because we hoard them: one of the hoard lets the caller in.
                Descriptors.give_one_back()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="fault-agent-hold", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        holds: dict[str, Hold] = {}
        try:
            with connection, contextlib.suppress(OSError):
                for line in connection.makefile("rb"):
                    try:
                        answer = self._do(holds, **json.loads(line))
                    except Exception as error:  # noqa: BLE001 - the caller is to hear of it, whatever it is
                        answer = refusal(error)
                    connection.sendall(encode(answer))
        finally:
            for key in list(holds):
                self._release(holds, key)

    def _do(self, holds: dict[str, Hold], **request: Any) -> Mapping[str, Any]:
        do, what = request["do"], str(request.get("what", ""))
        given: dict[str, Any] = request.get("with", {})
        key = f"{what}:{given['name']}" if "name" in given else what
        if do == "hold":
            return self._hold(holds, key, what, given)
        if do in {"read", "release"}:
            if key not in holds:
                raise AgentError(f"{key} is not held on this connection")
            return holds[key].reading() if do == "read" else self._release(holds, key)
        if do == "stall":
            return {"lag_ms": self.loops.stall(**given)}
        if do == "lag":
            return {"lag_ms": self.loops.take_lag_ms()}
        if do == "offset":
            return {"offset_s": self.clock.offset_s()}
        if do == "rss":
            return {"rss_bytes": Ballast.rss_bytes()}
        if do == "slots":
            return {"slots": _slots_in_use()}
        raise AgentError(f"do is {do!r}, allowed: hold, read, release, stall, lag, offset, rss, slots")

    def _hold(self, holds: dict[str, Hold], key: str, what: str, given: dict[str, Any]) -> Mapping[str, Any]:
        if what not in self._makers:
            raise AgentError(f"what is {what!r}, allowed: {', '.join(self._makers)}")
        # Ballast and threads add up; of the rest there is one, and two owners would heal each other's.
        shared = what in {"memory", "cpu"}
        with self._lock:
            if key in holds or (not shared and key in self._exclusive):
                raise AgentError(f"{key} is held already")
            if not shared:
                self._exclusive.add(key)
        try:
            holds[key] = self._makers[what](**given)
        except BaseException:
            with self._lock:
                self._exclusive.discard(key)
            raise
        return holds[key].says()

    def _release(self, holds: dict[str, Hold], key: str) -> Mapping[str, Any]:
        try:
            return holds.pop(key).release()
        finally:
            with self._lock:
                self._exclusive.discard(key)
