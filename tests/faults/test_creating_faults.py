"""The guide's code runs as it stands."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from hardening.faults.catalogue import CATALOGUE

GUIDE = Path(__file__).parents[2] / "docs" / "CREATING_FAULTS.md"


def guide() -> dict[str, Any]:
    """What the guide's Python blocks define, run one after the other in one module."""
    module = types.ModuleType("the_guide")
    sys.modules[module.__name__] = module
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), module.__dict__)
    return module.__dict__


def test_the_guides_fault_is_not_one_that_we_have_already() -> None:
    assert guide()["RedisFlushed"].kind not in CATALOGUE


def test_the_guides_fault_survives_json() -> None:
    cls = guide()["RedisFlushed"]
    fault = cls(database=3)
    assert cls.from_json(fault.to_json()) == fault


@pytest.mark.live
@pytest.mark.asyncio
@pytest.mark.parametrize("name", [name for name in sorted(guide()) if name.startswith("test_")])
async def test_the_guides_tests_pass(name: str, short_path: Path) -> None:
    await guide()[name](short_path)


def test_every_protocol_of_the_targets_is_in_the_guide() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert all(f"| `{cls.protocol}` |" in text for cls in CATALOGUE.values())
