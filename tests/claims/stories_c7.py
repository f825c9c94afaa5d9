"""Stories of C7: a sound one for each claim, and what is wrong once one thing in it is changed."""

from __future__ import annotations

from judge_changes import Case
from judge_story import Story, edited

from hardening.claims.c7_deployment import MISCONFIGURED


def c7_1() -> Story:
    story = Story()
    codes = {"passing": 0, "failing": 1, "unknown": 3, "expired": 1, "forged": 1, "other_code": 1}
    for certificate, code in codes.items():
        story.wait(1).probe("gate", certificate=certificate, exit_code=code)
    return story


def c7_2() -> Story:
    story = Story()
    story.probe("preflight", case="sound", exit_code=0, lines=[], faults=0)
    for case in MISCONFIGURED:
        count = 2 if case == "two_faults" else 1
        story.wait(1).probe("preflight", case=case, exit_code=1, lines=[f"{case}: no"] * count, faults=count)
    return story


def c7_3() -> Story:
    story = Story()
    story.probe("verify", altered=False, exit_code=0)
    story.wait(1).probe("verify", altered="histories/a.jsonl", how="byte", exit_code=1)
    story.wait(1).probe("verify", altered="certificate.json", how="byte", exit_code=1)
    story.wait(1).probe("verify", altered="histories/a.jsonl", how="anew", exit_code=1)
    return story


WRONG: list[Case] = [
    ("C7.1", "a failing one let through", edited("probe", 1, exit_code=0), [("probe", {"certificate": "failing"})]),
    ("C7.1", "an unknown one let through", edited("probe", 2, exit_code=0), [("probe", {"certificate": "unknown"})]),
    ("C7.1", "a forged one let through", edited("probe", 4, exit_code=0), [("probe", {"certificate": "forged"})]),
    ("C7.2", "let through", edited("probe", 1, exit_code=0), [("probe", {"exit_code": 0})]),
    ("C7.2", "one line for two faults", edited("probe", -1, lines=["x"]), [("probe", {"case": "two_faults"})]),
    ("C7.2", "a sound one refused", edited("probe", 0, exit_code=1), [("probe", {"case": "sound"})]),
    ("C7.3", "an altered one verified", edited("probe", 1, exit_code=0), [("probe", {"exit_code": 0})]),
    ("C7.3", "a forged one verified", edited("probe", 3, exit_code=0), [("probe", {"how": "anew"})]),
    ("C7.3", "a crash taken for a finding", edited("probe", 2, exit_code=4), [("probe", {"exit_code": 4})]),
    ("C7.3", "an intact one refused", edited("probe", 0, exit_code=1), [("probe", {"altered": False})]),
]
