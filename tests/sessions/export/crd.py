"""The schemas of Chaos Mesh, from its own definitions of custom resources: a directory, or the Go module's files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

MODULE = "github.com/chaos-mesh/chaos-mesh@v0.9.1-0.20260902003049-47411975a8cb"
DOWNLOAD_S_MAX = 90


@cache
def _directory() -> Path | str:
    """Where the definitions are, or why there are none."""
    named = os.environ.get("CHAOS_MESH_CRDS")
    if named:
        return Path(named)
    if shutil.which("go") is None:
        return "neither CHAOS_MESH_CRDS nor a go command is there"
    try:
        done = subprocess.run(
            ["go", "mod", "download", "-json", MODULE],
            capture_output=True,
            text=True,
            check=False,
            timeout=DOWNLOAD_S_MAX,
            env={**os.environ, "GONOSUMDB": "*", "GOFLAGS": "-mod=mod"},
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        return "the Go module proxy did not answer in time"
    if done.returncode:
        return f"the Go module proxy did not serve {MODULE}"
    return Path(json.loads(done.stdout)["Dir"]) / "config" / "crd" / "bases"


def schema(kind: str) -> dict[str, Any]:
    """The closed schema of one kind; skips the test when there is none to be had."""
    directory = _directory()
    if isinstance(directory, str):
        pytest.skip(directory)
    name = f"chaos-mesh.org_{kind.lower()}{'s' if kind == 'Workflow' else ''}.yaml"
    definition = yaml.safe_load((directory / name).read_text(encoding="utf-8"))
    version = next(v for v in definition["spec"]["versions"] if v["name"] == "v1alpha1")
    closed = _closed(version["schema"]["openAPIV3Schema"])
    assert isinstance(closed, dict)
    return closed


def _closed(node: Any) -> Any:
    """A cluster drops fields that it does not know; here they are an error."""
    if isinstance(node, Mapping):
        made = {name: _closed(value) for name, value in node.items()}
        free = {"additionalProperties", "x-kubernetes-preserve-unknown-fields"} & made.keys()
        if "properties" in made and not free:
            made["additionalProperties"] = False
        return made
    return [_closed(item) for item in node] if isinstance(node, list) else node
