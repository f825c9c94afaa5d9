"""Reads the terms of a result: files of waivers, files of claims that may be UNKNOWN, and names of claims.

In come paths as options give them, out come their contents, checked; what cannot be is a ``click.UsageError`` that
names the option, the value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from hardening.certificate.statement import AllowListError, parse_allow_list
from hardening.certificate.waivers import Waiver, WaiverError, parse_waivers
from hardening.claims.claims import CLAIMS, COMPONENTS

Read = TypeVar("Read")


def read_waivers(path: Path | None) -> tuple[Waiver, ...]:
    """What ``--waivers`` names; none without it."""
    return _read(path, "--waivers", parse_waivers) if path else ()


def read_allow_list(path: Path | None) -> frozenset[str]:
    """What ``--allow-unknown`` names; nothing without it."""
    return _read(path, "--allow-unknown", parse_allow_list) if path else frozenset()


def _read(path: Path, option: str, parse: Callable[[str], Read]) -> Read:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"{option} is {str(path)!r}, allowed: a readable file ({error.strerror})") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise click.UsageError(f"{option} is {str(path)!r}, allowed: a readable file ({error})") from None
    except (WaiverError, AllowListError) as error:
        raise click.UsageError(str(error)) from None


def claims_named(text: str) -> tuple[str, ...]:
    """``C2,C5.3`` as claim ids; a component stands for all of its claims."""
    found: list[str] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        matching = [claim for claim in CLAIMS if claim == word or CLAIMS[claim].component == word]
        if not matching:
            raise click.UsageError(f"--claims is {word!r}, allowed: {', '.join(COMPONENTS)} or ids such as C2.1")
        found += matching
    return tuple(dict.fromkeys(found))
