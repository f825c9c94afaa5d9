"""Every room of the house stands in the contract that says who may import whom."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PORTIONS = ("faults", "scenarios", "loadtests")


def rooms() -> set[str]:
    """Every package and module directly below ``hardening``, by its import name."""
    return {
        f"hardening.{path.stem}"
        for portion in PORTIONS
        for path in (ROOT / portion / "hardening").iterdir()
        if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
    }


def linter() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return settings


def test_no_room_is_left_out_of_the_layers() -> None:
    (layers,) = [contract["layers"] for contract in linter()["contracts"] if contract["type"] == "layers"]
    assert {room.strip() for layer in layers for room in layer.split("|")} == rooms()


def test_no_room_is_left_out_of_the_analysis() -> None:
    assert set(linter()["root_packages"]) == rooms() | {"signal_service"}


def test_the_namespace_has_no_module_of_its_own() -> None:
    assert not [portion for portion in PORTIONS if (ROOT / portion / "hardening" / "__init__.py").exists()]


def test_scenarios_holds_no_loose_module_but_the_classes_of_tests() -> None:
    loose = [path.name for path in (ROOT / "scenarios").glob("*.py") if not path.name.startswith("test_")]
    assert loose == []
