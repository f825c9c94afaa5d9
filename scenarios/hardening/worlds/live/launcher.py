"""Starts the service in this process, after a sabotage was applied and with the in-process means some faults need.

``python -m hardening.worlds.live.launcher [--agent SOCKET] [--sabotage NAME] -- ARGUMENTS OF THE SERVICE``

The agent (``hardening.worlds.agent.agent``) listens on SOCKET and is started first, so that it sees every seam. A
sabotage is a mutant: a shipped one by its NAME, or ``FILE.py:NAME`` for a function ``def NAME() -> None`` that patches
the service before it runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from hardening.worlds.agent.agent import Agent, AgentError
from hardening.worlds.shared import leaky_library

USAGE = 2
_OPTIONS = ("--agent", "--sabotage")


class SabotageError(ValueError):
    """A sabotage that cannot be loaded; the message names what was given and what is allowed."""


def load_sabotage(reference: str) -> Callable[[], None]:
    """The mutant that ``reference`` names: a shipped one, or a function in a file (``FILE.py:NAME``).

    Raises:
        SabotageError: when the file or the name is not there, or the file does not load.
    """
    file, colon, name = reference.rpartition(":")
    path = Path(file)
    if not colon:
        return _shipped(name)
    if path.suffix != ".py":
        raise SabotageError(f"--sabotage is {reference!r}, allowed: a mutant or FILE.py:NAME")
    if not path.is_file():
        raise SabotageError(f"--sabotage is {reference!r}, allowed: a file that exists ({file} does not)")
    spec = importlib.util.spec_from_file_location(f"sabotage_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses, among others, look their module up while it is being made
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SabotageError(f"--sabotage {file} does not load: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        names = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
        raise SabotageError(f"--sabotage names {name!r}, allowed in {file}: {', '.join(sorted(names)) or 'nothing'}")
    return function  # type: ignore[no-any-return]


def checked_sabotage(reference: str) -> str:
    """``reference`` in the form that processes in other directories can load; empty when it is empty.

    Raises:
        SabotageError: when it cannot be loaded.
    """
    if not reference:
        return ""
    load_sabotage(reference)
    file, colon, name = reference.rpartition(":")
    return f"{Path(file).resolve()}:{name}" if colon else name


def _shipped(name: str) -> Callable[[], None]:
    # By a string: mutants are a room above this one, and only a sabotaged process loads them.
    try:
        return importlib.import_module("hardening.mutants.catalogue").shipped(name)  # type: ignore[no-any-return]
    except LookupError as error:
        allowed = "a mutant or FILE.py:NAME"
        raise SabotageError(f"--sabotage is {name!r}, allowed: {allowed} ({error.args[0]})") from None


def _options(own: list[str]) -> dict[str, str] | None:
    """The launcher's own options, ``None`` when they are not what it takes."""
    names, values = own[::2], own[1::2]
    if len(names) != len(values) or len(set(names)) != len(names) or set(names) - set(_OPTIONS):
        return None
    return dict(zip(names, values, strict=True))


def main(argv: list[str]) -> int:
    """Start the agent and apply the sabotage, if any, then run the service's ``main``; returns its exit code."""
    split = argv.index("--") if "--" in argv else len(argv)
    own, rest = argv[:split], argv[split + 1 :]
    options = _options(own)
    if options is None:
        allowed = "[--agent SOCKET] [--sabotage NAME|FILE.py:NAME] --"
        print(f"launcher: arguments are {own!r}, allowed: {allowed}", file=sys.stderr)  # noqa: T201
        return USAGE
    try:
        if "--agent" in options:
            Agent(Path(options["--agent"])).start()
        if "--sabotage" in options:
            load_sabotage(options["--sabotage"])()
    except (SabotageError, AgentError) as error:
        print(f"launcher: {error}", file=sys.stderr)  # noqa: T201 - stderr is where usage errors go
        return USAGE
    leaky_library.start_from_environment()
    from hardening.worlds.shared.unclosable import taken_from_environment, unclosable  # noqa: PLC0415 - it imports httpx
    from signal_service.__main__ import main as serve  # noqa: PLC0415 - after the sabotage has patched it

    with unclosable(taken_from_environment()):
        return serve(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
