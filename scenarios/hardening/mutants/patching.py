"""How a sabotage puts its broken function in the place of the sound one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def put(owner: object, name: str, broken: Callable[..., Any] | property) -> None:
    """Replace ``owner.name``.

    Raises:
        AttributeError: when there is nothing of that name: a sabotage that breaks nothing would prove nothing.
    """
    getattr(owner, name)
    setattr(owner, name, broken)
