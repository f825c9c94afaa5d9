"""What a process keeps between two runs: globals of modules, attributes of classes, caches, loops that locks belong to.

In: nothing, it looks at the loaded modules (not at those of Python and of the simulator). Out: lines that name what
differs between two looks. It names the likely causes when a failure does not repeat in a fresh process.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from hardening.simulator.core.waits import is_own

PLAIN = (bool, int, float, str, bytes, type(None))
SIZED = (dict, list, set, tuple, frozenset)

OURS = ("freezegun", "hardening", "click")

State = dict[str, str]


def look() -> State:
    """A short description of everything that may live on, by its name."""
    state: State = {}
    sources = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
    # What is installed comes last: the program's own state is the likelier cause.
    for name in sorted(sources, key=lambda name: "site-packages" in sources[name]):
        module = sys.modules[name]
        if not sources[name] or not is_own(sources[name]) or name.partition(".")[0] in OURS:
            continue
        for key, value in list(vars(module).items()):
            if key.startswith("__"):
                continue
            state.update(_described(f"{name}.{key}", value))
            if isinstance(value, type) and value.__module__ == name:
                for inner, attribute in list(vars(value).items()):
                    if not inner.startswith("__"):
                        state.update(_described(f"{name}.{key}.{inner}", attribute))
    return state


def _described(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, PLAIN):
        yield name, repr(value)[:60]
    elif isinstance(value, SIZED):
        yield name, f"{type(value).__name__} of {len(value)}"
    elif type(value).__name__ == "_lru_cache_wrapper":
        yield name, f"cache of {value.cache_info().currsize}"
    elif hasattr(type(value), "_loop") and type(value).__module__.partition(".")[0] in ("asyncio", "anyio"):
        yield name, "belongs to no loop" if value._loop is None else "belongs to a loop"  # noqa: SLF001
    elif not isinstance(value, type | ModuleType) and not callable(value):
        for key, inner in list(_attributes(value).items()):
            if isinstance(inner, (*PLAIN, *SIZED)):
                yield from _described(f"{name}.{key}", inner)


def _attributes(value: Any) -> dict[str, Any]:
    """Its own attributes, without asking a ``__getattr__`` that may do anything."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def differences(before: Mapping[str, str], after: Mapping[str, str], lines_max: int = 8) -> list[str]:
    """One line for each thing that is not as it was, of modules that were loaded before."""
    found = [
        f"{name}: {before[name]}, now {text}" for name, text in after.items() if name in before and before[name] != text
    ]
    return found[:lines_max] + ([f"and {len(found) - lines_max} more"] if len(found) > lines_max else [])
