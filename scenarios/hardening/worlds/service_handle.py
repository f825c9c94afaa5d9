"""The service's process as a world offers it, and what is recorded of it: its lines, its events, its starts and ends.

In: the lines that it writes. Out: events of the history, times in seconds since the run began; events that lack
fields are refused and listed by ``malformed``. A world says how it is started, signalled and measured.
"""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from hardening.history.events import EVENT_TABLE, Recorder
from hardening.worlds.live.processes import ProcessError, until

START_S_MAX = 75.0


class ServiceHandle(ABC):
    """The service's process, as far as the code that runs a scenario touches it.

    Attributes:
        settings: the whole configuration, secrets included.
        address: where it listens; None while it does not.
        recorder: takes what it writes and what happens to it.
        on_event: called with name and fields of each structured event of its own.
    """

    name = "service"

    def __init__(self, recorder: Recorder) -> None:
        self.settings: dict[str, Any] = {}
        self.address: tuple[str, int] | None = None
        self.recorder = recorder
        self.on_event: list[Callable[[str, Mapping[str, Any]], None]] = []
        self._end_recorded = True
        self._refused: set[str] = set()

    @abstractmethod
    def now(self) -> float:
        """Seconds since the run began."""

    @abstractmethod
    def pid(self) -> int:
        """Of its current life; raises ProcessError when it was never started."""

    @property
    @abstractmethod
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs or when it was never started."""

    @property
    @abstractmethod
    def last_words(self) -> list[str]:
        """The last lines it wrote."""

    @abstractmethod
    def running(self) -> bool:
        """True while it runs or is stopped."""

    @abstractmethod
    def stopped(self) -> bool:
        """True while it is under SIGSTOP."""

    @abstractmethod
    def computed_s(self) -> float:
        """Seconds that it has computed since it was started; in virtual time it always does."""

    @abstractmethod
    async def launch(self) -> None:
        """Start it without waiting for it to serve."""

    async def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            ProcessError: with its last words, when it ends first or takes too long.
        """
        await self.launch()
        await until(lambda: self.address is not None or not self.running(), START_S_MAX)
        if self.address is None:
            if not self.running():
                self.exited()
            raise ProcessError(f"the service did not come up: {' | '.join(self.last_words[-3:]) or 'it said nothing'}")
        self._state("ready")

    @abstractmethod
    async def signal(self, number: int) -> None:
        """Send a signal; raises ProcessLookupError when it is not running."""

    @abstractmethod
    async def wait_exit(self, timeout_s: float) -> int:
        """Wait for its end and record it; raises TimeoutError."""

    @abstractmethod
    async def stop(self) -> int | None:
        """Ask it to end and wait; returns its exit code."""

    @abstractmethod
    async def destroy(self) -> None:
        """End it by force, whatever it does."""

    @abstractmethod
    def write_config(self, settings: Mapping[str, Any] | str) -> None:
        """Replace the configuration file in one step; text is written as it is."""

    @abstractmethod
    def sample(self) -> None:
        """Record RSS, CPU and descriptors as they look from outside; nothing when it has ended."""

    @abstractmethod
    def _address_of(self, listening: Mapping[str, Any]) -> tuple[str, int]:
        """Where it listens, by its own event."""

    def malformed(self) -> list[str]:
        """Events of the service that lacked fields; there should be none."""
        return sorted(self._refused)

    def exited(self) -> None:
        """Record its end, once it has ended, and only once."""
        if not self._end_recorded:
            self._end_recorded = True
            self._state("exited", exit_code=self.exit_code)

    def _state(self, state: str, **more: Any) -> None:
        value = {"name": self.name, "state": state, "pid": self.pid(), **more}
        self.recorder.add(self.now(), "harness", "state", "process", value)

    def _take_line(self, text: str) -> Mapping[str, Any]:
        """Record a line that it wrote; the line's JSON object, empty when it is none."""
        self.recorder.add(self.now(), "service", "log", "line", {"surface": "stdout", "text": text})
        if text.startswith("{"):
            with contextlib.suppress(ValueError):
                record: Mapping[str, Any] = json.loads(text)
                return record
        return {}

    def _take_event(self, record: Mapping[str, Any], epoch_s: float = 0.0) -> None:
        """Record a structured event of its own, whose clock was at ``epoch_s`` when the run began."""
        name, fields, at_s = str(record.get("event")), record.get("fields"), record.get("mono_s")
        needed = EVENT_TABLE.get(("state", name))
        if needed is None or not isinstance(fields, dict) or not isinstance(at_s, int | float):
            return
        if needed - fields.keys():
            self._refused.add(f"{name} lacks {', '.join(sorted(needed - fields.keys()))}")
            return
        self.recorder.add(at_s - epoch_s, "service", "state", name, fields, str(record.get("id") or ""))
        if name == "startup" and fields.get("phase") == "listening":
            self.address = self._address_of(fields)
        for look in self.on_event:
            look(name, fields)
