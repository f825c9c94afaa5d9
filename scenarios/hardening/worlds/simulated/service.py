"""The service as a process of the simulated world: composed by its own code, on a simulated machine of its own.

In: the machines of the run and its disk. Out: a ``ServiceHandle``, in virtual seconds. The service is not modified:
``signal_service.command.boot`` makes it, uvicorn serves it, httpx, redis-py and FastAPI run as they are. Only its
seams differ. SIGKILL ends its tasks where they are; SIGSTOP holds them; what it wrote to disk or Redis stays.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpcore
import pydantic.v1  # noqa: F401 - FastAPI imports it at its first route, and its classes cannot be made while time is frozen
from redis.asyncio import Redis

from hardening.history.events import Recorder
from hardening.simulator.core.hosts import Host
from hardening.simulator.net.sockets import SimSocket
from hardening.worlds.live.processes import until
from hardening.worlds.service_handle import ServiceHandle
from hardening.worlds.shared import leaky_library
from hardening.worlds.shared.unclosable import unclosable
from hardening.worlds.simulated.layout import HOST, SimMachines
from hardening.worlds.simulated.seams import LogPipe, Machine, SignalTable, SimFiles, WatchedFile, drop_connections
from hardening.worlds.spec import WorldSpec
from signal_service.clients.factory import abandon_all_clients
from signal_service.command import Ground, boot
from signal_service.config import settings as configuration
from signal_service.config.settings import Settings, SettingsError
from signal_service.seams import Seams
from signal_service.security.logging import SecureLogging, configure_secure_logging, traceback_text
from signal_service.store.redis_link import open_redis

USAGE, CRASHED = 2, 1
INTERPRETER_S = 0.3
"""What an interpreter takes to start; a tenth of it to end. Nothing of one life happens at the moment of another."""

TAIL_LINES = 40
_PIDS = 4100


class SimService(ServiceHandle):
    """See the module.

    Args:
        machines: it runs on one of them.
        recorder: takes what it writes.
        spec: seed, and the environment of the process.
        files: its disk, which outlives it.
    """

    def __init__(self, machines: SimMachines, recorder: Recorder, spec: WorldSpec, files: SimFiles) -> None:
        super().__init__(recorder)
        self.config = WatchedFile()
        self.machine = Machine(lambda: machines.network.open_ends(HOST))
        self.signals = SignalTable()
        self.pipe = LogPipe(self._line)
        self.host: Host | None = None
        self._machines = machines
        self._spec = spec
        self._files = files
        self._task: asyncio.Task[int] | None = None
        self._logs: SecureLogging | None = None
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        # What it says on stderr, tracebacks included; whether log lines that wait come before it or after is chance.
        self._words: deque[str] = deque(maxlen=TAIL_LINES)
        self._redis: list[Redis] = []
        self._lives = 0
        self._exit_code: int | None = None
        self._killed = False

    # --- what a world offers -------------------------------------------------------------------------------------

    def now(self) -> float:
        """See ``ServiceHandle``."""
        return self._machines.now()

    def pid(self) -> int:
        """See ``ServiceHandle``."""
        return _PIDS + self._lives

    @property
    def exit_code(self) -> int | None:
        """See ``ServiceHandle``."""
        return self._exit_code

    @property
    def last_words(self) -> list[str]:
        """See ``ServiceHandle``."""
        return [*self._tail, *self._words]

    def write_config(self, settings: Mapping[str, Any] | str) -> None:
        """See ``ServiceHandle``."""
        self.config.write(settings if isinstance(settings, str) else json.dumps(settings, indent=1))

    def running(self) -> bool:
        """See ``ServiceHandle``."""
        return self._task is not None and not self._task.done() and not self._killed

    def computed_s(self) -> float:
        """See ``ServiceHandle``."""
        return self._machines.loop.time()

    def stopped(self) -> bool:
        """True while it is under SIGSTOP."""
        return self.host is not None and self.host.stopped

    async def launch(self) -> None:
        """See ``ServiceHandle``."""
        self.write_config(self.settings)
        abandon_all_clients()
        self._lives += 1
        self._killed, self._exit_code, self._end_recorded = False, None, False
        self._redis.clear()
        self.address = None
        self.signals = SignalTable()
        self.pipe = LogPipe(self._line)
        self._tail.clear()
        self._words.clear()
        with self._machines.network.host(HOST) as self.host:
            self.host.on_exit = self._vanish
            self._task = asyncio.get_running_loop().create_task(self._main(), name=f"service-{self._lives}")
        self._state("started")

    async def signal(self, number: int) -> None:
        """See ``ServiceHandle``."""
        if not self.running():
            raise ProcessLookupError(self.name)
        assert self.host is not None
        loop = self._machines.loop
        self._state("signalled", signal=signal.Signals(number).name.removeprefix("SIG"))
        if number == signal.SIGKILL:
            self._kill()
        elif number == signal.SIGSTOP:
            loop.stop_host(self.host)
        elif number == signal.SIGCONT:
            loop.resume_host(self.host)
        else:
            with self._machines.network.host(HOST):
                # Looked up when it runs: a stopped process gets its signal once it goes on.
                loop.call_soon(self._deliver, number)
        await asyncio.sleep(0)

    def _deliver(self, number: int) -> None:
        handle = self.signals.handlers.get(number)
        if handle is not None:
            handle()

    def _kill(self) -> None:
        self._vanish(-int(signal.SIGKILL))

    def _vanish(self, code: int) -> None:
        """The process is gone from one moment to the next."""
        self._killed, self._exit_code = True, code
        self.pipe.is_dead = True
        self._machines.network.crash(HOST)
        while self._redis:
            drop_connections(self._redis.pop())
        self._close_logs()
        self.address = None
        self.exited()

    async def wait_exit(self, timeout_s: float) -> int:
        """See ``ServiceHandle``."""
        if not await until(lambda: not self.running(), timeout_s):
            raise TimeoutError(f"the service did not end within {timeout_s:g} s")
        self.exited()
        assert self._exit_code is not None
        return self._exit_code

    async def stop(self) -> int | None:
        """See ``ServiceHandle``."""
        if self._task is None:
            return None
        if self.running():
            assert self.host is not None
            if self.host.stopped:
                self._machines.loop.resume_host(self.host)
            await self.signal(signal.SIGTERM)
            try:
                await self.wait_exit(15)
            except TimeoutError:
                await self.destroy()
        self.exited()
        return self._exit_code

    async def destroy(self) -> None:
        """See ``ServiceHandle``."""
        if self.running():
            self._kill()

    # --- its life ------------------------------------------------------------------------------------------------

    async def _main(self) -> int:
        """What the process does from its first line to its last."""
        machines, pipe = self._machines, self.pipe
        await asyncio.sleep(INTERPRETER_S)
        logs = self._logs = configure_secure_logging(
            pipe,  # type: ignore[arg-type] # it has what is used of a stream
            monotonic=machines.now,
            wall=machines.wall,
            schedule=pipe.schedule,
        )
        code = CRASHED
        leaking = leaky_library.start_simulated(self._spec.environment)
        try:
            with unclosable(self._spec.environment):
                code = await boot(self._load, Path("service.json"), logs, self._ground(logs, pipe))
        except SettingsError as error:
            code = USAGE
            for problem in error.problems:
                self._say(pipe, logs, problem)
        except Exception as error:  # noqa: BLE001 - an interpreter would print it and end with 1
            pipe.write(traceback_text(error).encode())
        finally:
            leaking.cancel()
            await asyncio.sleep(INTERPRETER_S / 10)
            if not pipe.is_dead:
                self._close_logs()
                self._exit_code = code
                self.address = None
                self.exited()
        return code

    def _load(self) -> Settings:
        try:
            data = json.loads(self.config.text)
        except json.JSONDecodeError as error:
            raise SettingsError([f"config: service.json is malformed (line {error.lineno})"]) from None
        if not isinstance(data, dict):
            raise SettingsError(["config: service.json must hold one object"])
        return configuration.build(data)

    def _ground(self, logs: SecureLogging, pipe: LogPipe) -> Ground:
        machines = self._machines

        def emit(event: str, /, *, id: str = "", **fields: Any) -> None:  # noqa: A002 - the format's own word
            pipe.held += pipe.is_blocked
            logs.emit(event, id=id, **fields)

        seams = Seams(
            emit=emit,
            sample=self.machine.sample,
            files=self._files,
            watch=self.config.watch,
            on_signal=self.signals.register,
            redis=self._open_redis,
            network=httpcore.AnyIOBackend,
            sleep=asyncio.sleep,
            monotonic=machines.loop.time,
            wall=machines.wall,
            rng=random.Random(f"service-{self._spec.context.seed}-{self._lives}-{machines.loop.choices.entropy}"),
        )
        return Ground(
            seams,
            say=lambda line: self._say(pipe, logs, line),
            bind=lambda host, port, *, shared: SimSocket((host, port)),
            threads=False,
            made=lambda: None,
        )

    def _open_redis(self, url: str) -> Redis:
        client = open_redis(url)
        self._redis.append(client)
        return client

    def _say(self, pipe: LogPipe, logs: SecureLogging, line: str) -> None:
        pipe.write(f"signal-service: {logs.redactor.text(line)}".encode())

    def _close_logs(self) -> None:
        if self._logs is not None:
            self._logs.close()
            self._logs = None

    # --- what is recorded of it ----------------------------------------------------------------------------------

    def _line(self, text: str) -> None:
        record = self._take_line(text)
        (self._tail if text.startswith("{") else self._words).append(text)
        self._take_event(record)

    def _address_of(self, listening: Mapping[str, Any]) -> tuple[str, int]:
        return HOST, int(listening["port"])

    def sample(self) -> None:
        """Record RSS, CPU and descriptors as they look from outside; silent when it has ended."""
        if not self.running():
            return
        reading = self.machine.now()
        value = {
            "rss_bytes": reading.rss_bytes,
            "cpu_share": round(reading.cpu_share, 4),
            "fds": reading.fds,
            "connections": self._machines.network.accepted_ends(HOST),
        }
        self.recorder.add(self.now(), "harness", "state", "sample", value)
