"""A command whose library comes with an extra says in one line which extra to install, and exits 2."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest

from hardening.certificate import extras
from hardening.commands.cli import hardening, main

STATED = [
    "click>=8.1.8",
    "h11>=0.14",
    "jinja2>=3.1; extra == 'certify'",
    'pydantic[email]>=2.10; extra == "certify"',
    "pydantic>=2.10; extra == 'service'",
    "locust>=2.43; extra == 'load'",
    "locust>=2.43; extra == 'all'",
    "ruff>=0.8; extra == 'dev'",
]


@pytest.fixture(autouse=True)
def _stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras.metadata, "requires", lambda _: STATED)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("locust", 'needs locust: pip install "signal-hardening[load]"'),
        ("gevent.socket", 'needs locust: pip install "signal-hardening[load]"'),
        ("jinja2", 'needs jinja2: pip install "signal-hardening[certify]"'),
        ("pydantic", 'needs pydantic: pip install "signal-hardening[certify]"'),
        ("ruff", ""),
        ("click", ""),
        ("a_typo_of_ours", ""),
    ],
)
def test_the_extra_that_brings_a_library_is_named_and_no_other(missing: str, said: str) -> None:
    assert extras.what_to_install(ModuleNotFoundError(f"No module named {missing!r}", name=missing)) == said


def test_load_without_locust_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "locust", None)
    monkeypatch.setattr(sys, "argv", ["hardening", "load", "--shape", "steady"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == 'hardening load needs locust: pip install "signal-hardening[load]"\n'


def test_a_module_of_nobody_is_trouble_of_the_harness(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(hardening.commands._imported, "gate", raising=False)
    monkeypatch.setitem(sys.modules, "hardening.commands.gate", None)
    monkeypatch.setattr(sys, "argv", ["hardening", "gate", "x"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4
    assert "harness error: ModuleNotFoundError" in capsys.readouterr().err


ROOT = Path(__file__).parents[2]
BROUGHT_BY_OTHERS = {"pytest", "pytest_asyncio", "anyio"}
"""The plugin runs where pytest is, and the adapter for anyio where the simulated program uses that."""


def imported() -> dict[str, str]:
    """Every module of others that our code imports, and a file that does."""
    found: dict[str, str] = {}
    for root in ("service", "faults", "scenarios/hardening", "loadtests"):
        for path in (ROOT / root).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                found |= {name.partition(".")[0]: str(path.relative_to(ROOT)) for name in names}
    ours = {"hardening", "signal_service", *sys.stdlib_module_names}
    return {name: where for name, where in sorted(found.items()) if name not in ours}


def test_every_library_that_we_import_is_of_the_core_or_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = [f"{one}; extra == '{extra}'" for extra, all_ in project["optional-dependencies"].items() for one in all_]
    monkeypatch.setattr(extras.metadata, "requires", lambda _: [*project["dependencies"], *stated])
    core = {extras.library_of(one) for one in project["dependencies"]}
    lost = {
        name: where
        for name, where in imported().items()
        if name not in BROUGHT_BY_OTHERS
        and extras.library_with(name) not in core
        and not extras.what_to_install(ModuleNotFoundError(name=name))
    }
    assert not lost
