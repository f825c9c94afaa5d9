"""Finding a program by ``FILE.py:function`` or ``module:function``, so that other processes can too."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class ProgramError(ValueError):
    """There is no such program; one line naming what was given and what is wanted.

    Attributes:
        reference: what was given.
        reason: what is wrong with it.
    """

    def __init__(self, reference: str, reason: str) -> None:
        super().__init__(f"program is {reference!r}, {reason}")
        self.reference = reference
        self.reason = reason


def load_program(reference: str) -> Callable[[], Any]:
    """The ``async def`` that a reference names.

    Args:
        reference: ``path/to/file.py:function`` or ``package.module:function``.

    Raises:
        ProgramError: when file or function is missing, the file cannot be imported, or it is no ``async def`` without
            required arguments.
    """
    where, _, name = reference.rpartition(":")
    if not where or not name:
        raise ProgramError(reference, "allowed: FILE.py:function")
    module = _from_file(reference, Path(where)) if where.endswith(".py") else _from_module(reference, where)
    program = module
    for part in name.split("."):
        program = getattr(program, part, None)
        if program is None:
            raise ProgramError(reference, f"but there is no {name!r} in it")
    if not callable(program):
        raise ProgramError(reference, "but that is no function")
    if not inspect.iscoroutinefunction(inspect.unwrap(program)):
        raise ProgramError(reference, "but that is no async def")
    needed = [p for p in inspect.signature(program).parameters.values() if p.default is p.empty and p.kind < 2]
    if needed:
        raise ProgramError(reference, f"but it needs the argument {needed[0].name!r}")
    return program  # type: ignore[no-any-return]


def _from_file(reference: str, path: Path) -> Any:
    if not path.is_file():
        raise ProgramError(reference, f"but there is no file {str(path)!r}")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ProgramError(reference, "but it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ProgramError(reference, f"but its file cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _from_module(reference: str, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ProgramError(reference, f"but {error}") from None
