"""Request bodies, read as Toxiproxy reads them: names ignore case, null means absent, only the first value counts.

In: bytes; out: checked fields. What is no JSON or of a wrong type is an ``ApiError`` of status 400.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any


class ApiError(Exception):
    """An answer that refuses: its status and its message (``{"error": message, "status": status}``)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def bad_body(reason: str) -> ApiError:
    """400 with the contract's prefix."""
    return ApiError(400, f"bad request body: {reason}")


def parse(raw: bytes) -> Any:
    """The first JSON value of a body; what follows it is ignored.

    Raises:
        ApiError: 400 when there is none.
    """
    try:
        text = raw.decode("utf-8", "replace").lstrip(" \t\r\n")
        if not text:
            raise bad_body("EOF")
        value, _ = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_merged).raw_decode(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
            raise bad_body("unexpected EOF") from error
        raise bad_body(f"{error.msg} at character {error.pos + 1}") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, thousands of brackets
        raise bad_body("a value is too large") from error
    return _encodable(value) if "\\u" in text else value


def _merged(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that may repeat a name: the last value counts, null changes nothing, objects merge."""
    merged: dict[str, Any] = {}
    for name, value in pairs:
        before = merged.pop(name, None)
        if isinstance(value, dict) and isinstance(before, dict):
            merged[name] = {**before, **value}
        else:
            merged[name] = before if value is None else value
    return merged


def _encodable(value: Any) -> Any:
    """Half surrogate pairs, which JSON can spell but UTF-8 cannot carry, become U+FFFD, as in Go."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return value


def _no_constant(name: str) -> Any:
    raise bad_body(f"{name} is no JSON")


class Fields:
    """A JSON object's fields by name.

    Args:
        value: the parsed body; null is an empty object.

    Raises:
        ApiError: 400 when it is no object.
    """

    def __init__(self, value: object) -> None:
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise bad_body(f"{_json_type(value)} where an object is wanted")
        self._fields: dict[str, Any] = {}
        for key, field in value.items():
            if field is not None:
                self._fields[key.lower()] = field

    def text(self, name: str, default: str) -> str:
        """A string field.

        Raises:
            ApiError: 400 when it is something else.
        """
        return str(self._typed(name, default, lambda value: isinstance(value, str), "a string"))

    def flag(self, name: str, default: bool) -> bool:
        """A boolean field.

        Raises:
            ApiError: 400 when it is something else.
        """
        return bool(self._typed(name, default, lambda value: isinstance(value, bool), "true or false"))

    def number(self, name: str, default: float) -> float:
        """A number field.

        Raises:
            ApiError: 400 when it is something else, or beyond 32-bit floats.
        """

        def fits(value: object) -> bool:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return is_number and math.isfinite(value) and abs(value) < 3.4e38  # type: ignore[arg-type]

        return self._typed(name, default, fits, "a number")  # type: ignore[no-any-return]

    def table(self, name: str) -> Mapping[str, object]:
        """An object field; empty when absent.

        Raises:
            ApiError: 400 when it is something else.
        """
        return self._typed(name, {}, lambda value: isinstance(value, Mapping), "an object")  # type: ignore[no-any-return]

    def rows(self, name: str) -> list[Any]:
        """An array field; empty when absent.

        Raises:
            ApiError: 400 when it is something else.
        """
        return self._typed(name, [], lambda value: isinstance(value, list), "an array")  # type: ignore[no-any-return]

    def _typed(self, name: str, default: Any, fits: Callable[[object], bool], wanted: str) -> Any:
        value = self._fields.get(name, default)
        if not fits(value):
            raise bad_body(f"field {name} is {_json_type(value)}, allowed: {wanted}")
        return value


def _json_type(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"
