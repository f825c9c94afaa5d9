"""What a load run is: shape, rate, length, seed and place, as data that the command line writes and Locust reads."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

SPEC_VARIABLE = "HARDENING_LOAD_SPEC"
"""Names the file of the spec in Locust's environment."""

KEYS_VARIABLE = "HARDENING_LOAD_KEYS"
"""JSON of API keys by name (``demo``, ``high``, ``low``, ``operator``); never written to a file."""

MIX: Mapping[str, float] = {"reader": 60, "explorer": 15, "batcher": 5, "alerter": 15, "rude": 5}
"""Shares of the kinds of users, in parts of their sum."""


DURATION_S_MAX = 86_400.0


class LoadError(ValueError):
    """Bad input; one line that names the field, the value and what is allowed."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(f"{name} is {value!r}, allowed: {allowed}")


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """One load run.

    Attributes:
        shape: a name of ``shapes.SHAPES``.
        duration_s: seconds from the first request to the last.
        rate_per_s: product requests a second at the shape's base; its peaks are multiples.
        seed: users, symbols, gaps and arrivals are drawn from it.
        out: directory of everything that is recorded.
        mix: shares of the kinds of users.
        error_share_max: the run is ended when more of the last requests failed; 0: never.
        cold: how many different symbols explorers ask for.
        workers: Locust workers that share the load.
    """

    shape: str = "steady"
    duration_s: float = 60.0
    rate_per_s: float = 4.9
    seed: int = 0
    out: str = "load"
    mix: Mapping[str, float] = field(default_factory=lambda: dict(MIX))
    error_share_max: float = 0.5
    cold: int = 100_000
    workers: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.duration_s <= DURATION_S_MAX:
            raise LoadError("duration", self.duration_s, "1 s to 86,400 s")
        if not 0 < self.rate_per_s <= 100_000:
            raise LoadError("rate", self.rate_per_s, "more than 0 and at most 100,000 requests a second")
        if not 0 <= self.error_share_max <= 1:
            raise LoadError("error share", self.error_share_max, "0 to 1")
        for name, share in self.mix.items():
            if name not in MIX or share < 0:
                raise LoadError(f"mix.{name}", share, f"0 or more, for one of {', '.join(MIX)}")
        if not any(self.mix.values()):
            raise LoadError("mix", dict(self.mix), "at least one share above 0")

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it back.

        Raises:
            LoadError: when it is missing, no JSON or no spec.
        """
        try:
            data: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LoadError("spec file", str(path), f"a readable JSON file ({error})") from None
        if not isinstance(data, dict) or set(data) - set(cls.__slots__):
            raise LoadError("spec file", str(path), f"an object with {', '.join(cls.__slots__)}")
        return cls(**data)

    @classmethod
    def from_environment(cls) -> Self:
        """The spec that the environment names, or the defaults of plain Locust."""
        path = os.environ.get(SPEC_VARIABLE)
        return (
            cls.read(Path(path)) if path else cls(out=os.environ.get("HARDENING_LOAD_OUT", "load"), duration_s=86_400)
        )


def keys_from_environment() -> dict[str, str]:
    """API keys by name; ``HARDENING_API_KEY`` alone serves as all of the product's."""
    text = os.environ.get(KEYS_VARIABLE)
    if text:
        return {str(name): str(key) for name, key in json.loads(text).items()}
    one = os.environ.get("HARDENING_API_KEY", "")
    operator = os.environ.get("HARDENING_OPERATOR_KEY", "")
    return {"demo": one, "high": one, "low": one, "operator": operator}
