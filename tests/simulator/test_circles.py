"""No two files import each other, however indirectly, and neither do the parts of the simulator."""

from pathlib import Path

import pytest
from import_graph import Graph, circles, import_graph, joined, modules_under

ROOT = Path(__file__).parents[2]
PORTIONS = [
    ("service", "signal_service"),
    ("faults", "hardening"),
    ("scenarios", "hardening"),
    ("loadtests", "hardening"),
]
PARTS = [f"hardening.simulator.{part}" for part in ("core", "net", "adapters", "search")]


@pytest.fixture(scope="module")
def graph():
    modules = {}
    for root, package in PORTIONS:
        modules |= modules_under(ROOT / root, package)
    return import_graph(modules)


def test_no_circle_between_files(graph: Graph):
    assert circles(graph) == []


def test_no_circle_between_the_parts_of_the_simulator(graph: Graph):
    between = joined(graph, PARTS)
    assert circles(between) == []
    assert between["hardening.simulator.core"] == set()


def test_an_import_for_type_checking_closes_a_circle(tmp_path: Path):
    package = tmp_path / "box"
    package.mkdir()
    (package / "one.py").write_text("from box import two\n")
    (package / "two.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from box.one import x\n")
    (package / "three.py").write_text("def late():\n    from . import one\n")
    assert circles(import_graph(modules_under(tmp_path, "box"))) == [["box.one", "box.two"]]
