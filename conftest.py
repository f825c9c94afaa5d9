"""Settings that hold for every test here: Hypothesis profiles, one origin of the product, no leaked processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("dev", max_examples=25, **_COMMON)
settings.register_profile("ci", max_examples=60, derandomize=True, database=None, print_blob=True, **_COMMON)
settings.register_profile("deep", max_examples=2000, print_blob=True, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """``HARDENING_SHARD=i/n`` (profile ``deep``): part i of n draws from its own seed (hardening.properties.rare)."""
    index = os.environ.get("HARDENING_SHARD", "").partition("/")[0]
    if index and not config.getoption("hypothesis_seed"):
        config.option.hypothesis_seed = index


@pytest.fixture(scope="session", autouse=True)
def one_origin() -> Iterator[None]:
    """Every module of the product comes from the checkout or from an installation, never some from each."""
    yield
    origins = {
        "an installation" if "site-packages" in Path(file).parts else "a checkout": name
        for name, module in sys.modules.items()
        if name.partition(".")[0] in {"hardening", "signal_service"} and (file := getattr(module, "__file__", None))
    }
    assert len(origins) <= 1, f"modules of the product come from two places: {origins}"


@pytest.fixture(scope="session", autouse=True)
def nothing_left_running() -> Iterator[None]:
    """A test that leaves a child process behind fails the session, by name."""
    yield
    running = [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    left = [f"{child.pid} {' '.join(child.cmdline()[:4])}" for child in running]
    assert not left, f"child processes were left running: {left}"
