"""Every shipped mutant, collected from the modules of this folder.

``mutants()`` imports these modules, and with them the Signal Service that they patch (about 2 s); importing this module
alone imports neither. A module that is not in ``MODULES`` ships nothing.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Mapping
from types import MappingProxyType

from hardening.mutants.mutant import Mutant

MODULES = ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "load")


@functools.cache
def mutants() -> Mapping[str, Mutant]:
    """All of them by name, in the order of the claims.

    Raises:
        ValueError: when two have one name.
    """
    found: dict[str, Mutant] = {}
    for name in MODULES:
        module = importlib.import_module(f"hardening.mutants.{name}")
        for one in [value for value in vars(module).values() if isinstance(value, Mutant)]:
            if one.name in found:
                raise ValueError(f"two mutants are named {one.name}")
            found[one.name] = one
    return MappingProxyType(found)


def shipped(name: str) -> Mutant:
    """The mutant of that name.

    Raises:
        LookupError: when there is none; the message holds the names that are close to it.
    """
    try:
        return mutants()[name]
    except KeyError:
        close = difflib.get_close_matches(name, mutants(), n=3, cutoff=0.5)
        raise LookupError(
            f"did you mean {' or '.join(close)}?" if close else "no shipped one has such a name"
        ) from None
