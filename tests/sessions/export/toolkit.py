"""The unmodified Chaos Toolkit with its Toxiproxy extension, installed once into an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

PACKAGES = ("chaostoolkit==1.19.0", "chaostoolkit-toxiproxy==0.3.1")
INSTALL_S_MAX = 240


def installed(folder: Path) -> Path:
    """The ``chaos`` command; skips the test when it cannot be installed."""
    named = os.environ.get("CHAOSTOOLKIT")
    if named:
        return Path(named)
    uv = shutil.which("uv")
    python = folder / "bin" / "python"
    try:
        if uv is not None:
            subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True, timeout=60)
            install = [uv, "pip", "install", "-q", "--python", str(python), *PACKAGES]
        else:
            venv.create(folder, with_pip=True)
            install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES]
        subprocess.run(install, check=True, timeout=INSTALL_S_MAX, capture_output=True)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"the Chaos Toolkit cannot be installed: {error}")
    return folder / "bin" / "chaos"
