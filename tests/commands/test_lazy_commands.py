"""Each command is imported when it is asked for, and is then the command of its name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hardening.commands.cli import hardening


@pytest.mark.parametrize("name", sorted(hardening.commands))
def test_each_name_is_the_command_of_that_name(name: str) -> None:
    assert hardening.commands[name].name == name


def test_a_gate_waits_for_neither_service_nor_simulator() -> None:
    script = (
        "import sys\n"
        "from hardening.commands.cli import hardening\n"
        "hardening.commands['gate']\n"
        "heavy = {'signal_service', 'fastapi', 'hardening.certify.job', 'hardening.simulator'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
