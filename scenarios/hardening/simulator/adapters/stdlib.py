"""The simulation's box: time, randomness and what a program may not touch, patched while an exploration lasts.

A real socket, thread, subprocess or blocking wait inside a simulation would make it irreproducible or hang it.
Each is refused with the place of the call. Real sleeping is not refused: it blocks the loop, so time passes.
"""

from __future__ import annotations

import gc
import itertools
import os
import queue
import random
import signal
import socket
import subprocess
import threading
import time
import uuid
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, Self

from hardening.simulator.adapters.select_patches import select_patches
from hardening.simulator.adapters.threading_patches import thread_patches
from hardening.simulator.core.blocking import Blocking
from hardening.simulator.core.errors import RuleBrokenError
from hardening.simulator.core.hosts import current_host
from hardening.simulator.core.loop import START_S
from hardening.simulator.core.machines import EPOCH_S, PID
from hardening.simulator.core.sync import check_seconds
from hardening.simulator.core.task_names import TaskNames
from hardening.simulator.core.waits import call_site, importing
from hardening.simulator.net.sim_loop import SimLoop
from hardening.simulator.net.sockets import forget_sockets, make_socket

FAMILIES = (-1, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)

NODE = 0x02_00_00_00_00_01
"""The network address inside a run: a locally administered one."""


class Sandbox:
    """Patches on enter, puts everything back on exit. ``loop`` is the run that is going on, if any.

    Nested use keeps the outer patches. Outside a run (between two of them) everything behaves as always.
    """

    current: Sandbox | None = None

    def __init__(self) -> None:
        self.loop: SimLoop | None = None
        self.clocks_are_set = False
        self._undo: list[tuple[Any, str, Any]] = []
        self._random_state: object = None
        self._bytes: random.Random | None = None
        self._names = TaskNames()

    def begin(self, loop: SimLoop) -> None:
        """A run begins: randomness starts over."""
        self.loop = Blocking.running = loop
        random.seed(loop.choices.entropy)
        forget_sockets()
        self._names.begin()
        loop.names = self._names
        threading._counter = itertools.count(1).__next__  # type: ignore[attr-defined] # noqa: SLF001 - of their names
        uuid._last_timestamp = None  # type: ignore[attr-defined] # noqa: SLF001 - it would go on from the run before
        self._bytes = None

    def end(self) -> None:
        """The run is over."""
        self.loop = Blocking.running = None

    def monotonic(self) -> float:
        """Virtual in a run, else real."""
        return self.loop.now_s if self.loop is not None else _Real.clocks["monotonic"]()

    def _monotonic_here(self) -> float:
        """The same, but real for other threads of the process."""
        return self.monotonic() if self.loop is None or self.loop.is_here() else _Real.clocks["monotonic"]()

    def wall(self) -> float:
        """Virtual in a run, else real; the world may have set it off."""
        loop = self.loop
        if loop is None:
            return _Real.clocks["time"]()
        return EPOCH_S + loop.now_s - START_S + loop.wall_off_here_s()

    def __enter__(self) -> Self:
        self._random_state = random.getstate()
        for owner, name, value in self._patches():
            self._undo.append((owner, name, owner.__dict__[name]))
            setattr(owner, name, value)
        return self

    def __exit__(self, *exc: object) -> None:
        while self._undo:
            owner, name, value = self._undo.pop()
            setattr(owner, name, value)
        random.setstate(self._random_state)  # type: ignore[arg-type]

    def _patches(self) -> list[tuple[Any, str, Any]]:
        return [
            (time, "sleep", self._sleep),
            *([] if self.clocks_are_set else self._clock_patches()),
            (socket, "getaddrinfo", self._look_up(socket.getaddrinfo)),
            (socket, "gethostbyname", self._look_up_name(socket.gethostbyname)),
            (socket, "gethostname", self._own_name(socket.gethostname)),
            (os, "urandom", self._urandom),
            (random, "_urandom", self._urandom),
            (socket.socket, "__init__", self._socket(socket.socket.__init__)),
            *thread_patches(self),
            (BaseSelectorEventLoop, "__init__", self._loop_of_ones_own(BaseSelectorEventLoop.__init__)),
            # uuid1 by the interpreter's own code: libuuid would read the real clock and the machine's address.
            (uuid, "_generate_time_safe", None),
            (uuid, "getnode", self._node(uuid.getnode)),
            # freezegun leaves these two alone; their waits with a limit would count real seconds.
            *select_patches(self),
            (threading, "_time", self._monotonic_here),
            (queue, "time", self._monotonic_here),
            (subprocess.Popen, "__init__", self._guard(subprocess.Popen.__init__, "a subprocess")),
            (gc, "collect", self._in_run(gc.collect, lambda loop: lambda generation=2: loop.collect())),
            (os, "fork", self._guard(os.fork, "a fork")),
            (os, "system", self._guard(os.system, "a subprocess")),
            (signal, "signal", self._in_run(signal.signal, lambda loop: loop.set_handler)),
            (signal, "getsignal", self._in_run(signal.getsignal, lambda loop: loop.handler_of)),
            (signal, "raise_signal", self._in_run(signal.raise_signal, lambda loop: loop.deliver_signal)),
            (os, "kill", self._kill(os.kill)),
            (os, "getpid", self._getpid(os.getpid)),
            (os, "_exit", self._exit(os._exit)),
        ]

    def _clock_patches(self) -> list[tuple[Any, str, Any]]:
        return [
            (time, "time", self.wall),
            (time, "time_ns", lambda: round(self.wall() * 1e9)),
            (time, "monotonic", self.monotonic),
            (time, "monotonic_ns", lambda: round(self.monotonic() * 1e9)),
            (time, "perf_counter", self.monotonic),
            (time, "perf_counter_ns", lambda: round(self.monotonic() * 1e9)),
        ]

    def _sleep(self, seconds: float) -> None:
        if self.loop is None or not self.loop.is_here():
            REAL_SLEEP(seconds)
        elif not isinstance(seconds, int | float) or seconds != seconds:
            check_seconds(seconds)
            self.loop.sleep_here(float(seconds))
        elif seconds < 0:
            raise ValueError("sleep length must be non-negative")
        else:
            self.loop.sleep_here(seconds + 0.0)

    def _urandom(self, size: int) -> bytes:
        if self.loop is None:
            return REAL_URANDOM(size)
        if self._bytes is None:
            self._bytes = random.Random(self.loop.choices.entropy)
        return self._bytes.randbytes(size)

    def _guard(
        self, real: Callable[..., Any], what: str, allowed: Callable[[tuple[Any, ...]], bool] | None = None
    ) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            loop = self.loop
            if loop is None or (allowed is not None and allowed(args)) or importing():
                return real(*args, **kwargs)
            error = RuleBrokenError(what, call_site(), "inside a simulation")
            loop.fail(error)
            raise error

        return guarded

    def _look_up(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """A blocking look-up, as threads do it, asks the simulated network too."""

        def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
            if self.loop is None or not self.loop.is_here():
                return real(host, port, family, type, proto, flags)
            return self.loop.addresses(host, port, type, proto)

        return getaddrinfo

    def _look_up_name(self, real: Callable[[str], str]) -> Callable[[str], str]:
        def gethostbyname(hostname: str) -> str:
            if self.loop is None or not self.loop.is_here():
                return real(hostname)
            return str(self.loop.addresses(hostname, 0)[0][4][0])

        return gethostbyname

    def _own_name(self, real: Callable[[], str]) -> Callable[[], str]:
        """Libraries log it: the machine of the network, not the one that replays."""
        return lambda: real() if self.loop is None or not self.loop.is_here() else current_host.get().name

    def _loop_of_ones_own(self, real: Callable[..., None]) -> Callable[..., None]:
        guarded = self._guard(real, "a real event loop")

        def init(loop: Any, *args: Any, **kwargs: Any) -> None:
            loop._closed = True  # noqa: SLF001 - until it is made: refused, its finaliser has nothing to close
            guarded(loop, *args, **kwargs)

        return init

    def _socket(self, real: Callable[..., None]) -> Callable[..., None]:
        """Streams are simulated; a duplicate of a descriptor that exists (``fileno=``) is left as it is."""
        guarded = self._guard(real, "a real socket that is no stream")

        def init(sock: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None) -> None:  # noqa: A002
            if self.loop is None or not self.loop.is_here() or importing() or fileno is not None:
                real(sock, family, type, proto, fileno)
            elif (type not in (-1, 0) and not type & socket.SOCK_STREAM) or family not in FAMILIES:
                guarded(sock, family, type, proto, fileno)
            else:
                make_socket(sock, family, type, proto)

        return init

    def _in_run(self, real: Callable[..., Any], simulated: Callable[..., Callable[..., Any]]) -> Callable[..., Any]:
        """``real`` outside of a run and in threads that are not the simulation's, else what ``simulated`` gives."""

        def chosen(*args: Any, **kwargs: Any) -> Any:
            loop = self.loop
            if loop is None or not loop.is_here():
                return real(*args, **kwargs)
            return simulated(loop)(*args, **kwargs)

        return chosen

    def _getpid(self, real: Callable[[], int]) -> Callable[[], int]:
        """Libraries log it: it has to be the same in every process that replays."""
        return lambda: real() if self.loop is None else PID

    def _node(self, real: Callable[[], int]) -> Callable[[], int]:
        """What uuid1 takes for the machine's address; asking the system starts subprocesses."""
        return lambda: real() if self.loop is None else NODE

    def _exit(self, real: Callable[[int], NoReturn]) -> Callable[[int], NoReturn]:
        def leave(code: int) -> NoReturn:
            if self.loop is None:
                real(code)
            host = current_host.get()
            if host.on_exit is not None and host.alive:
                host.on_exit(code)  # at once: what the exception below unwinds belongs to a process that is gone
            raise SystemExit(code)

        return leave

    def _kill(self, real: Callable[[int, int], None]) -> Callable[[int, int], None]:
        def kill(pid: int, number: int) -> None:
            if self.loop is None:
                real(pid, number)
            elif pid == os.getpid():
                self.loop.deliver_signal(number)
            else:
                error = RuleBrokenError("a signal to another process", call_site(), "inside a simulation")
                self.loop.fail(error)
                raise error

        return kill


class _Real:
    """The real clocks; not names of the module, since freezegun would replace those."""

    clocks: ClassVar[dict[str, Callable[[], float]]] = {"time": time.time, "monotonic": time.monotonic}


REAL_SLEEP = time.sleep
REAL_URANDOM = os.urandom
