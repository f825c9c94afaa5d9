"""Stories of C3: a sound one for each claim, and what is wrong once one thing in it is changed."""

from __future__ import annotations

from judge_changes import Case, equal_waits, late
from judge_story import Story, edited


def _started(story: Story, case: str, dependency: str, **more: object) -> None:
    value = {"served": True, "served_early": False, "exit_code": None, "line": "", "elapsed_s": 4.0, **more}
    story.wait(10).probe("startup", case=case, dependency=dependency, **value)


def c3_1() -> Story:
    story = Story()
    for name in ("redis", "ticker", "user"):
        line = f"start-up failed, no answer from: {name}"
        _started(story, "absent", name, served=False, exit_code=1, line=line, elapsed_s=60.4)
        _started(story, "late", name)
    story.process("started")
    story.wait(1).say("startup", phase="ready")
    story.wait(1).serve()
    return story


def c3_2() -> Story:
    story = Story()
    for name in ("alert", "comms"):
        _started(story, "absent", name, degraded=[name], recovered=True)
    return story


def c3_3() -> Story:
    story = Story()
    for number, wait_s in enumerate((0.31, 0.77, 1.2, 3.9), start=1):
        story.wait(wait_s).say(
            "startup", phase="attempt", dependency="redis", attempt=number, wait_s=wait_s, elapsed_s=story.now
        )
    _started(story, "hanging", "ticker", served=False, exit_code=1, line="ticker", elapsed_s=60.2)
    _started(story, "sigterm", "redis", served=False, exit_code=0, elapsed_s=0.2, leftovers=[])
    return story


WRONG: list[Case] = [
    ("C3.1", "served without", edited("probe", 0, served=True), [("probe", {"served": True})]),
    ("C3.1", "served early", edited("probe", 1, served_early=True), [("probe", {"served_early": True})]),
    ("C3.1", "exit 0", edited("probe", 0, exit_code=0), [("probe", {"exit_code": 0})]),
    ("C3.1", "a line that names nothing", edited("probe", 2, line="failed"), [("probe", {"line": "failed"})]),
    ("C3.1", "never gives up", edited("probe", 2, elapsed_s=99.0), [("probe", {"elapsed_s": 99.0})]),
    ("C3.1", "admitted before ready", late("startup", 5.0, phase="ready"), [("admitted", {}), ("startup", {})]),
    ("C3.2", "did not start", edited("probe", served=False), [("probe", {"served": False})]),
    ("C3.2", "readiness that lies", edited("probe", degraded=[]), [("probe", {"degraded": []})]),
    ("C3.2", "needs a restart", edited("probe", 1, recovered=False), [("probe", {"recovered": False})]),
    ("C3.3", "no jitter", equal_waits, [("startup", {"wait_s": 0.1})]),
    ("C3.3", "wait too long", edited("startup", 1, wait_s=9.0), [("startup", {"wait_s": 9.0})]),
    ("C3.3", "an attempt without timeout", edited("startup", 0, elapsed_s=9.0), [("startup", {"elapsed_s": 9.0})]),
    ("C3.3", "deaf to SIGTERM", edited("probe", 1, elapsed_s=9.0), [("probe", {"case": "sigterm"})]),
    ("C3.3", "left something", edited("probe", 1, leftovers=["port 8080"]), [("probe", {"case": "sigterm"})]),
]
