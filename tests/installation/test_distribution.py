"""What is built and what is said of it: one import name, typed, and no word of a path that only a checkout has."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hardening.commands.cli import hardening

ROOT = Path(__file__).parents[2]
ROOMS = [
    folder
    for root in ("faults/hardening", "scenarios/hardening", "loadtests/hardening")
    for folder in sorted((ROOT / root).iterdir())
    if folder.is_dir() and folder.name != "__pycache__"
]
IN_A_CHECKOUT_ONLY = re.compile(r"(?<![\w/.-])(?:scenarios|faults|service|loadtests|tests|benchmarks)/[\w.*-]+")


def built(directory: Path, source: Path, target: str) -> Path:
    argv = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(directory)]
    done = subprocess.run(argv, cwd=source, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = directory.iterdir()
    return file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with zipfile.ZipFile(built(tmp_path_factory.mktemp("wheel"), ROOT, "wheel")) as archive:
        return set(archive.namelist())


def test_a_wheel_holds_two_names_at_its_top(wheel: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"hardening", "signal_service"}


def test_a_wheel_holds_every_file_of_every_room(wheel: set[str]) -> None:
    wanted = {
        str(path.relative_to(root))
        for root in (ROOT / name for name in ("service", "faults", "scenarios", "loadtests"))
        for package in ("hardening", "signal_service")
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted.add("hardening/certificate/commit.txt")  # written as the wheel is built
    assert wanted == {name for name in wheel if not name.partition("/")[0].endswith(".dist-info")}


@pytest.mark.parametrize("room", ROOMS, ids=[room.name for room in ROOMS])
def test_every_room_is_typed(room: Path, wheel: set[str]) -> None:
    assert f"hardening/{room.name}/py.typed" in wheel


def test_a_source_distribution_builds_the_same_wheel(wheel: set[str], tmp_path: Path) -> None:
    (tmp_path / "sdist").mkdir()
    (tmp_path / "wheel").mkdir()
    with tarfile.open(built(tmp_path / "sdist", ROOT, "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    with zipfile.ZipFile(built(tmp_path / "wheel", source, "wheel")) as archive:
        assert set(archive.namelist()) == wheel


def commands(group: click.Group, words: str = "hardening") -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield f"{words} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{words} {name}")


def test_no_help_text_names_a_path_of_a_checkout() -> None:
    named = {}
    for words, command in commands(hardening):
        text = command.get_help(click.Context(command, info_name=words))
        if found := IN_A_CHECKOUT_ONLY.findall(text):
            named[words] = found
    assert named == {}


GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("GUIDE_[CL]*.md"))]


@pytest.mark.parametrize("guide", GUIDES, ids=[guide.stem for guide in GUIDES])
def test_no_command_in_a_guide_names_a_path_of_a_checkout(guide: Path) -> None:
    lines = [line for line in guide.read_text().splitlines() if re.match(r"\s*(\$ |hardening |locust )", line)]
    assert lines
    assert [line for line in lines if IN_A_CHECKOUT_ONLY.search(line)] == []
