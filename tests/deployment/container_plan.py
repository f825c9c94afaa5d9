"""compose.yaml and Dockerfile, read as an engine reads them: what each container runs, as whom, with what variables."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
USERS = {"valkey": "999:1000"}
"""Ids of users that are known inside somebody's image alone."""


@dataclass(slots=True)
class Stage:
    """What a Dockerfile says of one image; a stage begins with what the one below it says."""

    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    user: str = "0:0"
    directory: str = "/"


def dockerfile(path: Path = ROOT / "Dockerfile") -> dict[str, Stage]:
    """Every stage by its name."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: dict[str, Stage] = {}
    now = Stage()
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        match word:
            case "FROM":
                below, _, name = rest.partition(" AS ")
                old = stages.get(below, Stage())
                now = stages[name] = Stage(dict(old.environment), [], [], [], old.user, old.directory)
            case "ENV":
                now.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
            case "ENTRYPOINT":
                now.entrypoint = json.loads(rest)
            case "CMD":
                now.command = json.loads(rest)
            case "USER":
                now.user = rest
            case "WORKDIR":
                now.directory = rest
            case "HEALTHCHECK":
                now.healthcheck = json.loads(rest[rest.index("CMD") + 3 :])
    return stages


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """``${NAME:?why}`` and ``$$``, as compose does.

    Raises:
        KeyError: a variable that must be there is not.
    """
    if isinstance(value, Mapping):
        return {name: interpolate(one, variables) for name, one in value.items()}
    if isinstance(value, list):
        return [interpolate(one, variables) for one in value]
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else variables[match["name"]]

    return re.sub(r"\$\$|\$\{(?P<name>\w+)(:\?[^}]*)?\}", one, value)


def compose(variables: Mapping[str, str], path: Path = ROOT / "compose.yaml") -> dict[str, Any]:
    """The services, variables filled in."""
    services: dict[str, Any] = interpolate(yaml.safe_load(path.read_text()), variables)["services"]
    return services


def containers(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """For each service ``argv``, ``environment``, ``user``, ``directory``, ``health`` and ``after``, ready to run."""
    stages, found = dockerfile(), {}
    for name, service in compose(variables).items():
        stage = stages[service["build"]["target"]] if "build" in service else Stage()
        test = service.get("healthcheck", {}).get("test", ["CMD", *stage.healthcheck])
        user = str(service.get("user", stage.user))
        found[name] = {
            "image": service["image"],
            "argv": [*service.get("entrypoint", stage.entrypoint), *service.get("command", stage.command)],
            "environment": {**stage.environment, **service.get("environment", {})},
            "user": USERS.get(user, user),
            "directory": stage.directory,
            "health": ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else test[1:],
            "after": {other: how["condition"] for other, how in service.get("depends_on", {}).items()},
        }
    return found


def plain(distribution: str) -> str:
    """A distribution's name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def closure(requirements: Iterable[str]) -> set[str]:
    """Names of the distributions that an installer would bring for these requirements, here."""
    waiting = [Requirement(text) for text in requirements]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = plain(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in importlib.metadata.requires(name) or []:
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append(needed)
    return {name for name, _ in seen}


def requirements(path: Path) -> list[str]:
    """The lines of a requirements file."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def tops(distributions: Iterable[str]) -> set[str]:
    """Names in site-packages that belong to these distributions."""
    found = set()
    for name in distributions:
        files = importlib.metadata.files(name)
        assert files is not None, name
        found |= {Path(str(file)).parts[0] for file in files if Path(str(file)).parts[0] != ".."}
    return found - {"__pycache__"}
