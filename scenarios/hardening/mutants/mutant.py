"""A mutant: a function that breaks the subject in one realistic way, and what must notice it.

``@breaks(CLAIM, shown_by=SCENARIO)`` turns a function without arguments into a ``Mutant``. Calling the mutant patches
the subject's classes in this process; nothing restores them, so each mutant gets a process of its own. Certificates and
the command line call a mutant *sabotage*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Where = Literal["simulated", "live", "load"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One deliberate break.

    Attributes:
        name: the name of its function, and the value of ``--sabotage``.
        claim: the claim that must fail; the budget line that must fail where ``world`` is ``load``.
        shown_by: the scenario that shows it; the shape of the load where ``world`` is ``load``.
        world: where it is shown: ``simulated`` wherever that world can show it.
        apply: patches the subject in this process.
    """

    name: str
    claim: str
    shown_by: str
    world: Where
    apply: Callable[[], None]

    def __call__(self) -> None:
        """Apply it."""
        self.apply()


def breaks(claim: str, *, shown_by: str, world: Where = "simulated") -> Callable[[Callable[[], None]], Mutant]:
    """Make a mutant of the function below: what it breaks, and what shows it."""

    def mutant(function: Callable[[], None]) -> Mutant:
        return Mutant(function.__name__, claim, shown_by, world, function)

    return mutant


def put(owner: object, name: str, broken: Callable[..., Any] | property) -> None:
    """Replace ``owner.name``.

    Raises:
        AttributeError: when ``owner`` has nothing of that name: a mutant that changes nothing would prove nothing.
    """
    getattr(owner, name)
    setattr(owner, name, broken)
