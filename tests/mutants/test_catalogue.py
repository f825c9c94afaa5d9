"""The catalogue of mutants is complete, and each mutant names what must notice it."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from hardening.claims.claims import CLAIMS
from hardening.mutants import catalogue
from hardening.mutants.mutant import breaks, put


def test_every_module_of_the_room_ships_its_mutants() -> None:
    folder = Path(catalogue.__file__).parent
    assert {*catalogue.MODULES, "__init__", "catalogue", "mutant"} == {path.stem for path in folder.glob("*.py")}


def test_every_claim_has_a_mutant_in_the_module_of_its_component() -> None:
    judged = [one for one in catalogue.mutants().values() if one.world != "load"]
    assert {one.claim for one in judged} == set(CLAIMS)
    for one in judged:
        assert one.apply.__module__ == f"hardening.mutants.{CLAIMS[one.claim].component.lower()}"


def test_two_mutants_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = types.ModuleType("hardening.mutants.twice")
    twice.__dict__["again"] = breaks("C2.2", shown_by="burst")(catalogue.mutants()["no_rate_limit"].apply)
    monkeypatch.setitem(sys.modules, twice.__name__, twice)
    monkeypatch.setattr(catalogue, "MODULES", ("c2", "twice"))
    with pytest.raises(ValueError, match="two mutants are named no_rate_limit"):
        catalogue.mutants.__wrapped__()


def test_a_mutant_that_would_patch_nothing_is_an_error() -> None:
    with pytest.raises(AttributeError):
        put(types.SimpleNamespace(), "gone", lambda: None)


def test_importing_the_catalogue_imports_neither_the_service_nor_a_mutant() -> None:
    code = "import hardening.mutants.catalogue, sys; print([m for m in sys.modules if m.startswith('signal_service')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
