"""What a run can end in, beside the program's own exceptions; every one carries its facts in typed fields."""

from __future__ import annotations

from dataclasses import dataclass


class SimulatorError(Exception):
    """Base of everything the simulator itself raises."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Who waits for what, where, and who holds it.

    Attributes:
        task: name of the waiting task.
        on: what it waits for (``Lock #1``, ``task client-2``, ``Queue.get`` ...).
        where: ``file:line in function`` of its innermost frame outside the standard library.
        held_by: names of the tasks that hold it, as far as that can be known.
    """

    task: str
    on: str
    where: str
    held_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        held = f", held by {', '.join(self.held_by)}" if self.held_by else ""
        return f"{self.task} waits for {self.on}{held} ({self.where})"


class StuckError(SimulatorError):
    """The program can not, or does not, come to its end.

    Attributes:
        waits: who waits for what.
        virtual_s: virtual seconds since the start.
        steps: callbacks run until then.
    """

    title = "stuck"

    def __init__(self, detail: str, waits: tuple[Wait, ...], virtual_s: float, steps: int) -> None:
        lines = [f"{self.title} after {virtual_s:.6g} virtual s and {steps} steps: {detail}"]
        super().__init__("\n".join(lines + [f"  {wait}" for wait in waits]))
        self.detail = detail
        self.waits = waits
        self.virtual_s = virtual_s
        self.steps = steps


class DeadlockError(StuckError):
    """Nothing is ready and no timer is set, yet the program has not ended."""

    title = "deadlock"


class LivelockError(StuckError):
    """The step limit was reached: tasks run and run, and the program does not end."""

    title = "livelock"


class OverdueError(StuckError):
    """The limit of virtual time was reached before the program ended."""

    title = "overdue"


class ViolationError(SimulatorError):
    """An ``always`` turned false, or an ``eventually`` did not come true in time.

    Attributes:
        name: the name given to the check.
        kind: ``always`` or ``eventually``.
        virtual_s: when, in virtual seconds since the start.
        step: the global step after which it was seen.
    """

    def __init__(self, name: str, kind: str, virtual_s: float, step: int, detail: str = "") -> None:
        said = "no longer holds" if kind == "always" else "did not come true in time"
        more = f": {detail}" if detail else ""
        super().__init__(f"{kind} {name!r} {said} at {virtual_s:.6g} virtual s, step {step}{more}")
        self.name = name
        self.kind = kind
        self.virtual_s = virtual_s
        self.step = step


class LeftoverError(SimulatorError):
    """The program ended and left something behind, and the exploration was asked to fail for it.

    Attributes:
        found: one line for each thing left.
    """

    def __init__(self, found: tuple[str, ...]) -> None:
        super().__init__("left behind at the end: " + "; ".join(found))
        self.found = found


class LostExceptionError(SimulatorError):
    """A background task or callback failed and nobody looked."""


class RuleBrokenError(SimulatorError):
    """The program reached for the real world: a socket, a thread, a subprocess, a real wait.

    Attributes:
        rule: what was tried.
        where: ``file:line in function`` of the call.
    """

    def __init__(self, rule: str, where: str, advice: str = "") -> None:
        super().__init__(f"{rule} at {where}" + (f" ({advice})" if advice else ""))
        self.rule = rule
        self.where = where
        self.advice = advice


class OutsideSimulationError(SimulatorError):
    """``draw`` and its like were called where no simulation runs."""
