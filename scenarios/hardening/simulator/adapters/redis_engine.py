# mypy: disable-error-code="misc"
"""One client's connection to a simulated Redis: fakeredis' engine, and the administrative commands it lacks.

Replies keep their RESP types until they are encoded. What an operator's command changes (memory limit, role, pause)
acts on every connection, as in a real server: writes are refused with OOM or READONLY, commands are held back.
"""

from __future__ import annotations

import asyncio
import fnmatch
import importlib.resources
import json
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio
from fakeredis import FakeServer
from fakeredis._clients._tcp_server import encode_reply
from fakeredis._helpers import NoResponse, SimpleError, SimpleString
from fakeredis._socket._async import AsyncFakeSocket

SETTINGS = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "port": "6379",
    "save": "",
    "repl-diskless-load": "disabled",
    "loading-process-events-interval-bytes": "2097152",
    "maxclients": "10000",
    "requirepass": "",
}
MEGABYTE = 1_000_000


def _commands_that_write() -> frozenset[str]:
    table = json.loads(importlib.resources.files("fakeredis").joinpath("commands.json").read_text())
    return frozenset(name for name, entry in table.items() if "write" in entry[2])


WRITES = _commands_that_write()

WHILE_LOADING = frozenset({"auth", "hello", "quit", "info", "config", "replicaof", "slaveof", "client", "select"})
"""Commands that a server answers while it loads its data set."""


class Engine:
    """What all connections of one server share.

    Attributes:
        server: fakeredis' engine and data.
        settings: as CONFIG GET tells them.
        role: ``master`` or ``slave``.
        reaches: whether a master listens on a port.
        errors: refusals by kind (``OOM``, ``READONLY``).
        sockets: the connections.
        on_setting: called with name and value when CONFIG SET changed something.
    """

    def __init__(self, run_id: str, clock: Callable[[], float]) -> None:
        self.server = FakeServer()
        self.settings = dict(SETTINGS)
        self.role = "master"
        self.loads_from: int | None = None
        self.reaches: Callable[[int], bool] = lambda port: False
        self.errors: dict[str, int] = {}
        self.evicted = 0
        self.expired = 0
        self.commands = 0
        self.run_id = run_id
        self.sockets: list[RespSocket] = []
        self.paused_until_s = 0.0
        self.paused_mode = "all"
        self.on_setting: Callable[[str, str], None] = lambda name, value: None
        self.clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def keys(self) -> int:
        """How many keys there are."""
        return sum(len(database) for database in self.server.dbs.values())

    def used_bytes(self) -> int:
        """An estimate: a real server's base, and 100 bytes a key."""
        return MEGABYTE + 100 * self.keys()

    def is_paused(self, name: str) -> bool:
        """Whether this command is held back now."""
        if self.clock() >= self.paused_until_s or name.startswith("client"):
            return False
        return self.paused_mode == "all" or name in WRITES

    def pause(self, seconds: float, mode: str) -> None:
        """Hold commands back."""
        self.paused_until_s, self.paused_mode = self.clock() + seconds, mode
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.unpause)

    def unpause(self) -> None:
        """Let them go."""
        self.paused_until_s = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for socket in list(self.sockets):
            socket.release()

    @property
    def is_loading(self) -> bool:
        """True while it takes over a master's data set: other commands than ``WHILE_LOADING`` are refused."""
        return self.loads_from is not None and self.reaches(self.loads_from)

    def sweep(self) -> None:
        """Take out what has expired, and count it."""
        now = time.time()
        for database in self.server.dbs.values():
            due = database._expiry_heap  # noqa: SLF001 - asked before each command, so nothing but this is quick enough
            if due and due[0][0] < now:
                database.time = now
                before = len(database._dict)  # noqa: SLF001 - its length without a sweep
                self.expired += before - len(database)

    def refusal(self, name: str) -> str | None:
        """Why a command is refused now, as an error; None when it is not."""
        if self.is_loading and name not in WHILE_LOADING:
            return "LOADING Redis is loading the dataset in memory"
        if name not in WRITES:
            return None
        if self.role == "slave":
            return "READONLY You can't write against a read only replica."
        limit = int(self.settings["maxmemory"])
        if limit and self.used_bytes() > limit:
            if self.settings["maxmemory-policy"] == "noeviction":
                return "OOM command not allowed when used memory > 'maxmemory'."
            self._evict(limit)
        return None

    def _evict(self, limit: int) -> None:
        for database in self.server.dbs.values():
            for key in list(database):
                if self.used_bytes() <= limit:
                    return
                del database[key]
                self.evicted += 1


class RespSocket(AsyncFakeSocket):
    """fakeredis' connection, with RESP bytes as its output."""

    def __init__(self, engine: Engine, write: Callable[[bytes], None], on_error: Callable[[], None]) -> None:
        super().__init__(engine.server, 0, client_class=redis.asyncio.Redis)
        self.engine = engine
        self._write = write
        self._on_error = on_error
        self._held: list[list[bytes]] = []
        self.name = ""
        self.known = False
        engine.sockets.append(self)

    def put_response(self, msg: Any) -> None:
        """Encode it and send it."""
        self._write(encode_reply(msg, self._resp_version))

    def _decode_result(self, result: Any) -> Any:
        return _plain(result)

    def receive(self, data: bytes) -> None:
        """Bytes of the client; broken ones end the connection."""
        try:
            self._parser.send(data)
        except (SimpleError, StopIteration, ValueError):
            self._on_error()

    def release(self) -> None:
        """The pause is over: what was held back runs."""
        held, self._held = self._held, []
        if held:
            self._paused = False
            for fields in held:
                self._process_command(fields)
            if not self._held:
                self.receive(b"")

    def leave(self) -> None:
        """The client is gone."""
        if self in self.engine.sockets:
            self.engine.sockets.remove(self)
            self.close()

    def _introduced(self, name: str, words: list[str], fields: list[bytes]) -> list[bytes]:
        """A client that is not known yet may say who it is in HELLO; what is left to be done, empty when refused."""
        place = (
            [word.lower() for word in words].index("auth") if name == "hello" and "auth" in map(str.lower, words) else 0
        )
        if not place:
            self.put_response(SimpleError("NOAUTH Authentication required."))
            return []
        reply = _auth(self, words[place : place + 3])
        if isinstance(reply, SimpleError):
            self.put_response(reply)
            return []
        return fields[:place] + fields[place + 3 :]

    def _process_command(self, fields: list[bytes]) -> None:
        if not fields:
            return
        name = _text(fields[0]).lower()
        full = f"{name} {_text(fields[1]).lower()}" if len(fields) > 1 and name in SUBCOMMANDS else name
        engine = self.engine
        if engine.is_paused(full):
            self._held.append(fields)
            self._paused = True
            return
        engine.commands += 1
        if not self.known and engine.settings["requirepass"] and name not in ("auth", "quit"):
            fields = self._introduced(name, [_text(field) for field in fields], fields)
            if not fields:
                return
        engine.sweep()
        own = OWN.get(full)
        if own is not None:
            reply = own(self, [_text(field) for field in fields])
            if not isinstance(reply, NoResponse):
                self.put_response(_plain(reply))
            return
        refusal = engine.refusal(name)
        if refusal is not None:
            kind = refusal.split()[0]
            engine.errors[kind] = engine.errors.get(kind, 0) + 1
            self.put_response(SimpleError(refusal))
            return
        super()._process_command(fields)


def _text(field: bytes) -> str:
    return field.decode("utf-8", "replace")


def _plain(result: Any) -> Any:
    """What ``encode_reply`` takes: errors by their value, simple strings as text."""
    if isinstance(result, list | tuple):
        return [_plain(item) for item in result]
    if isinstance(result, SimpleString):
        return result.value
    if isinstance(result, SimpleError):
        return SimpleError(result.value)
    return result


def _info(socket: RespSocket, words: list[str]) -> Any:
    engine = socket.engine
    sections: dict[str, dict[str, Any]] = {
        "server": {"redis_version": "8.0.0", "run_id": engine.run_id, "tcp_port": engine.settings["port"]},
        "clients": {"connected_clients": len(engine.sockets)},
        "memory": {"used_memory": engine.used_bytes(), "maxmemory": engine.settings["maxmemory"]},
        "persistence": {
            "loading": int(engine.is_loading),
            "aof_enabled": int(engine.settings["appendonly"] == "yes"),
            "aof_rewrite_in_progress": 0,
            "aof_rewrite_scheduled": 0,
        },
        "stats": {
            "evicted_keys": engine.evicted,
            "expired_keys": engine.expired,
            "total_commands_processed": engine.commands,
        },
        "replication": {"role": engine.role, "connected_slaves": 0},
        "errorstats": {f"errorstat_{kind}": f"count={count}" for kind, count in engine.errors.items()},
        "keyspace": {"db0": f"keys={engine.keys()},expires=0,avg_ttl=0"} if engine.keys() else {},
    }
    wanted = [word.lower() for word in words[1:]]
    lines: list[str] = []
    for section, facts in sections.items():
        if not wanted or section in wanted or "all" in wanted or "everything" in wanted:
            lines += [f"# {section.capitalize()}", *(f"{key}:{value}" for key, value in facts.items()), ""]
    return "\r\n".join(lines).encode()


def _config(socket: RespSocket, words: list[str]) -> Any:
    engine = socket.engine
    what = words[1].lower() if len(words) > 1 else ""
    if what == "get":
        return _config_get(socket, words[2:])
    if what == "set" and len(words) >= 4 and not len(words) % 2:
        for name in words[2::2]:
            if name.lower() not in engine.settings:
                return SimpleError(f"ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
        for name, value in zip(words[2::2], words[3::2], strict=True):
            engine.settings[name.lower()] = value
            engine.on_setting(name.lower(), value)
        return SimpleString(b"OK")
    if what in ("resetstat", "rewrite"):
        return SimpleString(b"OK")
    return SimpleError("ERR wrong number of arguments for 'config' command")


def _config_get(socket: RespSocket, patterns: list[str]) -> Any:
    found = {
        name: value
        for name, value in socket.engine.settings.items()
        if any(fnmatch.fnmatchcase(name, pattern.lower()) for pattern in patterns)
    }
    if socket._resp_version == 3:  # noqa: SLF001
        return {name.encode(): value.encode() for name, value in found.items()}
    return [word.encode() for pair in found.items() for word in pair]


def _auth(socket: RespSocket, words: list[str]) -> Any:
    password = socket.engine.settings["requirepass"]
    if not password:
        return SimpleError("ERR AUTH <password> called without any password configured for the default user.")
    socket.known = words[-1] == password
    return SimpleString(b"OK") if socket.known else SimpleError("WRONGPASS invalid username-password pair")


def _replicaof(socket: RespSocket, words: list[str]) -> Any:
    nobody = [word.lower() for word in words[1:]] == ["no", "one"]
    engine = socket.engine
    engine.role = "master" if nobody else "slave"
    # A master's data set is not spoken here; with these settings a real replica would be loading it for long.
    loads = not nobody and engine.settings["repl-diskless-load"] == "swapdb"
    engine.loads_from = int(words[2]) if loads else None
    return SimpleString(b"OK")


def _wait(socket: RespSocket, words: list[str]) -> Any:
    return 0


def _wait_aof(socket: RespSocket, words: list[str]) -> Any:
    return [int(socket.engine.settings["appendonly"] == "yes"), 0]


def _client_pause(socket: RespSocket, words: list[str]) -> Any:
    mode = words[3].lower() if len(words) > 3 else "all"
    socket.engine.pause(float(words[2]) / 1000, mode)
    return SimpleString(b"OK")


def _client_unpause(socket: RespSocket, words: list[str]) -> Any:
    socket.engine.unpause()
    return SimpleString(b"OK")


OWN: dict[str, Callable[[RespSocket, list[str]], Any]] = {
    "auth": _auth,
    "info": _info,
    "config": _config,
    "replicaof": _replicaof,
    "slaveof": _replicaof,
    "wait": _wait,
    "waitaof": _wait_aof,
    "client pause": _client_pause,
    "client unpause": _client_unpause,
}

SUBCOMMANDS = frozenset(name.partition(" ")[0] for name in OWN if " " in name)
"""Of these the second word decides too."""
