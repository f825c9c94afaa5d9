"""``docs/CERTIFICATE.md`` speaks of the predicate as it is, and its commands work."""

from __future__ import annotations

import json
import re
import shlex
from datetime import date
from pathlib import Path
from typing import Any

import click
import pytest
from certificate_facts import FAIL, PASS, UNKNOWN, facts, load_row

from hardening.certificate.statement import Story, statement
from hardening.certificate.verify import Demands, Report, Verification
from hardening.certificate.waivers import Waiver, parse_waivers
from hardening.commands.cli import hardening

DOCUMENT = (Path(__file__).parents[2] / "docs" / "CERTIFICATE.md").read_text()
ANY_KEYS = {"value", "figures", "bite", "libraries", "scenarios", "settings", "faults", "counts"}
"""Below these names the keys are whatever was measured."""


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found
    return found.group(1)


def shape(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {} if name in ANY_KEYS else {key: shape(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else []
    return ""


def test_the_example_has_exactly_the_fields_of_a_predicate() -> None:
    full = facts(
        waivers=(Waiver("C1.2", "ann", "why", date(2026, 12, 1)),),
        faults=[{"kind": "x", "injected": 1, "bit": 1, "bite": {}, "histories": []}],
        sabotages=[{"name": "x", "component": "C1", "detected": True, "by": [], "schedules": 1, "seconds": 1.0}],
        loads=[load_row()],
        stories=[Story("C1.2", "x", "y")],
        since={"baseline": "x", "result": "x", "finished_at": "x", "changes": []},
    )
    predicate = statement([FAIL, PASS, UNKNOWN], full)["predicate"]
    assert shape(json.loads(block("json"))) == shape(json.loads(json.dumps(predicate)))


def test_the_example_of_a_waiver_is_one() -> None:
    assert parse_waivers(block("toml"))[0].claim == "C2.5"


def test_every_check_of_verify_is_in_the_table() -> None:
    demands = Demands(*[None] * 3)  # type: ignore[arg-type]
    names = [name for name, _ in Verification(Path(), demands, Report()).steps()]
    table = DOCUMENT[DOCUMENT.index("| check |") :]
    assert re.findall(r"^\| `(\w+)` \|", table[: table.index("\n\n")], re.MULTILINE) == names


@pytest.mark.parametrize("line", re.findall(r"^    (hardening .*)$", DOCUMENT, re.MULTILINE))
def test_every_command_is_one_with_its_options(line: str) -> None:
    words = shlex.split(line)[1:]
    command = hardening.commands[words[0]]
    with click.Context(command) as context:
        command.make_parser(context).parse_args(words[1:])
