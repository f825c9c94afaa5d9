"""How thorough these tests are: quick by default, the full numbers with ``SIMULATOR_FULL=1``."""

import os

import pytest

FULL = os.environ.get("SIMULATOR_FULL", "") not in ("", "0")


@pytest.fixture(scope="session")
def scale():
    """``scale(quick, full)`` picks one of two numbers."""
    return lambda quick, full: full if FULL else quick
