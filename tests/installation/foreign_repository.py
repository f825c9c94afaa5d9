"""A repository of somebody else with packages ``service``, ``faults``, ``scenarios`` and ``loadtests`` of its own.

``Repository`` writes it, with or without ``__init__.py``, and makes a virtual environment beside it that sees this
environment's libraries, the product among them. Nothing is downloaded.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("service", "faults", "scenarios", "loadtests")

_PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "somebody-elses"
version = "1.0"

[tool.hatch.build.targets.wheel]
packages = ["service", "faults", "scenarios", "loadtests"]

[tool.pytest.ini_options]
asyncio_default_fixture_loop_scope = "function"
filterwarnings = ["error"]
"""

_TEST = """
import importlib
from pathlib import Path

import pytest

OWN = Path(sys.argv[1] if False else __file__).parents[1]


@pytest.fixture
def inject():
    return "our own fixture"


@pytest.mark.parametrize("package", ["service", "faults", "scenarios", "loadtests"])
def test_our_package_is_ours(package):
    assert importlib.import_module(f"{package}.part").OWNER == f"somebody else's {package}"


def test_our_fixture_is_ours(inject):
    assert inject == "our own fixture"


def test_the_harness_is_here_too():
    assert importlib.import_module("hardening.simulator").explore


@pytest.mark.asyncio
async def test_their_fixture_works(hardening_toxiproxy, toxiproxy):
    assert toxiproxy is hardening_toxiproxy
    assert toxiproxy.kind.flavour in {"real", "embedded"}
"""


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository at ``root``; ``python`` belongs to its environment."""

    root: Path
    python: Path

    def run(self, *words: str, timeout_s: float = 110) -> subprocess.CompletedProcess[str]:
        """Run a program of the repository's environment inside the repository."""
        program = self.python.with_name(words[0])
        return subprocess.run(
            [str(program), *words[1:]],
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """The variables of a user's shell: no ``PYTHONPATH``, nothing of the test run that we are in."""
        ours = ("PYTHON", "PYTEST", "COV_", "HYPOTHESIS")
        return {name: value for name, value in os.environ.items() if not name.startswith(ours)}

    def installed(self, how: str) -> None:
        """Have the repository ``not installed``, or installed as ``editable`` or ``wheel``; nothing is downloaded."""
        self._pip("uninstall", "-q", "-y", "somebody-elses")
        if how != "not installed":
            words = ["-e", "."] if how == "editable" else ["."]
            self._pip("install", "-q", "--no-build-isolation", "--no-deps", *words)

    def _pip(self, *words: str) -> None:
        done = self.run("python", "-m", "pip", "--disable-pip-version-check", *words)
        assert done.returncode == 0, done.stderr


def repository(root: Path, *, with_init: bool) -> Repository:
    """Write the repository and its environment."""
    repo = root / "repository"
    for package in PACKAGES:
        folder = repo / package
        folder.mkdir(parents=True)
        (folder / "part.py").write_text(f'OWNER = "somebody else\'s {package}"\n')
        if with_init:
            (folder / "__init__.py").write_text("")
    (repo / "pyproject.toml").write_text(_PROJECT)
    (repo / "tests").mkdir()
    (repo / "tests" / "test_own.py").write_text(_TEST)
    place = root / "environment"
    venv.create(place, with_pip=True, symlinks=True)
    python = place / "bin" / "python"
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    folder = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    here = sysconfig.get_path("purelib")
    # addsitedir reads the .pth files there too, so that an editable install of the product counts.
    Path(folder, "libraries_of_the_test_run.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    for name in ("pytest", "hardening"):
        _entry_point(python, name)
    return Repository(repo, python)


def _entry_point(python: Path, name: str) -> None:
    """The console script ``name`` as an installer writes it into an environment."""
    module, function = {"pytest": ("pytest", "console_main"), "hardening": ("hardening.commands.cli", "main")}[name]
    script = python.with_name(name)
    script.write_text(f"#!{python}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    script.chmod(0o755)
