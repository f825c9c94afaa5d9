"""New connections are reset; live ones go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hardening.toxics.base import Attribute, ConnectPlan, Toxic


class ConnectRefuse(Toxic):
    """Turns new connections away by a reset right after the accept; live ones go on.

    With ``unlisten`` 1 (and a toxicity of 1) a driver stops listening instead: clients then see a true refusal,
    which nobody can count, since the kernel answers.
    """

    type: ClassVar[str] = "connect_refuse"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {"unlisten": Attribute(int, low=0, high=1)}

    is_connect: ClassVar[bool] = True

    __slots__ = ()

    def connect(self, plan: ConnectPlan) -> None:
        """Refuse."""
        plan.refused = True
        self.tally.count("refused_connects")
