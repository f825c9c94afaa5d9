"""What a toxic is: one state machine per connection and direction, without a socket, a clock or a loop of its own.

See the package's docstring for the protocol that a driver follows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Any, ClassVar

KIB = 1024
MS = 0.001
US = 0.000001
HEAD_BYTES_MAX = 65536
"""How much of an unfinished message an exchange toxic keeps before it passes the stream unchanged."""
NEVER = math.inf


class End(Enum):
    """How a direction ends. Travels through the chain behind the bytes, never past them."""

    CLOSE = "close"
    HALF_CLOSE = "half_close"
    RESET = "reset"


Payload = bytes | End


@dataclass(slots=True)
class Timed:
    """What a toxic hands on.

    Attributes:
        at: when it may go on, in seconds on the driver's clock; ``math.inf`` holds it until an update or removal.
        payload: bytes, or the end of the direction.
        back: true for an answer that travels against the toxic's own direction (exchange toxics only).
    """

    at: float
    payload: Payload
    back: bool = False


class AttributeRefusedError(ValueError):
    """An attribute that a toxic cannot take.

    Attributes:
        attribute: its name.
        value: what was given.
        allowed: what would have been right.
    """

    def __init__(self, attribute: str, value: object, allowed: str) -> None:
        super().__init__(f"attribute {attribute} is {value!r}, allowed: {allowed}")
        self.attribute = attribute
        self.value = value
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a toxic: its JSON type, its default, and the values it takes.

    ``kind`` is ``int`` (a JSON number without fraction, 64 bits), ``float``, ``str``, ``list`` (of strings) or
    ``dict`` (of strings).
    """

    kind: type
    default: Any = 0
    low: float | None = None
    high: float | None = None

    def read(self, name: str, value: object) -> Any:
        """Check one JSON value.

        Raises:
            AttributeRefusedError: when it is of another type or out of bounds.
        """
        if self.kind in (list, dict):
            return self._read_container(name, value)
        if self.kind is str:
            if not isinstance(value, str):
                raise AttributeRefusedError(name, value, "a string")
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise AttributeRefusedError(name, value, "a number")
        if self.kind is int and (not isinstance(value, int) or not -(2**63) <= value < 2**63):
            raise AttributeRefusedError(name, value, "a whole number of 64 bits")
        if not math.isfinite(value):
            raise AttributeRefusedError(name, value, "a finite number")
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise AttributeRefusedError(name, value, self._bounds())
        return float(value) if self.kind is float else value

    def _read_container(self, name: str, value: object) -> Any:
        if self.kind is list and isinstance(value, list) and all(isinstance(word, str) for word in value):
            return list(value)
        if self.kind is dict and isinstance(value, Mapping) and all(isinstance(word, str) for word in value.values()):
            return dict(value)
        raise AttributeRefusedError(name, value, "a list of strings" if self.kind is list else "an object of strings")

    def _bounds(self) -> str:
        low = f"{self.low:g} or more" if self.low is not None else ""
        high = f"{self.high:g} or less" if self.high is not None else ""
        return " and ".join(part for part in (low, high) if part)


class Tally(dict[str, float]):
    """What a toxic did, by effect (``delayed_bytes``, ``dropped_bytes``, ``resets`` ...); shared by its connections."""

    def count(self, effect: str, amount: float = 1) -> None:
        """Add to one effect."""
        if amount:
            self[effect] = self.get(effect, 0) + amount


@dataclass(slots=True)
class ConnectPlan:
    """What happens to a new connection: a wait, then a dial, or a reset instead of it."""

    delay_s: float = 0.0
    refused: bool = False


class Toxic:
    """Base of all toxics, and the one that does nothing (``noop``).

    One object serves one connection in one direction (an exchange toxic serves both). Only a toxic that the
    connection's draw did not spare is ever built.

    Class attributes:
        type: its name on the wire.
        attributes_table: the attributes it takes.
        retimes: what it holds is fed to it again after an update, so that new attributes act at once.
        is_exchange: it also sees the opposite direction (``answer``).
        is_connect: it acts before the upstream is dialled (``connect``).
        window_bytes: how much may be held before the sender should be made to wait.

    Attributes:
        deadline: when ``expire`` is to be called, in seconds on the driver's clock; None for never.
        withheld_bytes: bytes that the toxic dropped and that still count as held, so that the sender waits.
    """

    type: ClassVar[str] = "noop"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {}
    retimes: ClassVar[bool] = False
    is_exchange: ClassVar[bool] = False
    is_connect: ClassVar[bool] = False
    window_bytes: ClassVar[int] = 64 * KIB

    __slots__ = ("attributes", "deadline", "memory", "rng", "tally", "withheld_bytes")

    def __init__(self, attributes: Mapping[str, Any], rng: Random, tally: Tally, memory: Tally) -> None:
        """Keep what is passed in.

        Args:
            attributes: checked attributes, complete (see ``read_attributes``).
            rng: the generator of this connection, direction and toxic; nothing else draws from it.
            tally: counts of effects, shared by all connections of the toxic.
            memory: counts the toxic itself needs across connections (``fail_first``, ``times``).
        """
        self.attributes = attributes
        self.rng = rng
        self.tally = tally
        self.memory = memory
        self.deadline: float | None = None
        self.withheld_bytes = 0

    @classmethod
    def read_attributes(cls, given: Mapping[str, object], base: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Complete and check attributes; unknown ones are ignored, names ignore case, null keeps what was.

        Args:
            given: the JSON object of the request.
            base: what they are merged into; the defaults when none.

        Raises:
            AttributeRefusedError: naming attribute, value and what is allowed.
        """
        result = {name: spec.default for name, spec in cls.attributes_table.items()}
        result.update(base or {})
        folded = {name.lower(): name for name in cls.attributes_table}
        for key, value in given.items():
            name = key if key in cls.attributes_table else folded.get(key.lower())
            if name is not None and value is not None:
                result[name] = cls.attributes_table[name].read(name, value)
        cls.check(result)
        return result

    @classmethod
    def check(cls, attributes: Mapping[str, Any]) -> None:
        """Refuse combinations that make no sense.

        Raises:
            AttributeRefusedError: naming one of them.
        """

    def window(self) -> int:
        """How many bytes may be held before the sender should wait; depends on the attributes for some."""
        return self.window_bytes

    def connect(self, plan: ConnectPlan) -> None:
        """Change the plan of a new connection before the upstream is dialled (``is_connect`` only)."""

    def begin(self, now: float) -> list[Timed]:
        """The toxic starts to act on this connection (at its start, or added in mid-connection)."""
        return []

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """Bytes arrived at ``now``; says when which bytes go on."""
        return [Timed(now, data)]

    def close(self, end: End, now: float) -> list[Timed]:
        """The direction's source ended at ``now``."""
        return [Timed(now, end)]

    def expire(self, now: float) -> list[Timed]:
        """``deadline`` has come. The toxic must clear or move its deadline."""
        self.deadline = None
        return []

    def answer(self, data: bytes, now: float) -> list[Timed]:
        """Bytes of the opposite direction (exchange toxics only); ``back`` has no meaning here."""
        return [Timed(now, data)]

    def update(self, attributes: Mapping[str, Any], now: float) -> None:
        """New attributes in mid-connection; state such as counts stays."""
        self.attributes = attributes

    def remove(self, now: float, *, is_spared: bool = False) -> list[Timed]:
        """The toxic stops to act; the chain releases what it holds. Says what comes behind that.

        Args:
            now: the time, seconds.
            is_spared: the toxic stays, but a new toxicity spares this connection.
        """
        return []


class ExchangeToxic(Toxic):
    """Base of toxics that answer in the server's place, ``times`` times over all connections (0: always)."""

    is_exchange: ClassVar[bool] = True

    __slots__ = ()

    def _may_act(self) -> bool:
        times = self.attributes["times"]
        if times and self.memory.get("answers", 0) >= times:
            return False
        self.memory.count("answers")
        self.tally.count("injected_answers")
        return True


Key = tuple[str, int, str, str]
"""(proxy, connection number, direction, toxic): what a draw depends on."""

Draws = Callable[[Key], Random]


def seeded_draws(seed: int) -> Draws:
    """A generator for each key, the same for the same seed, whatever else was drawn."""

    def of(key: Key) -> Random:
        proxy, connection, direction, toxic = key
        return Random(f"{seed}\x1f{proxy}\x1f{connection}\x1f{direction}\x1f{toxic}")

    return of
