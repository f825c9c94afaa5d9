"""One sound story for each claim, and each sound story with one thing changed, collected from the components."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import stories_c1
import stories_c2
import stories_c3
import stories_c4
import stories_c5
import stories_c6
import stories_c7
from judge_changes import Case
from judge_story import Change, Story, changed, judged

from hardening.claims.verdict import Verdict

COMPONENTS = (stories_c1, stories_c2, stories_c3, stories_c4, stories_c5, stories_c6, stories_c7)

SOUND: Mapping[str, Callable[[], Story]] = {
    name.replace("_", ".").upper(): tell
    for module in COMPONENTS
    for name, tell in vars(module).items()
    if re.fullmatch(r"c\d_\d", name)
}
"""By claim: a story in which its premise occurs and its promise is kept."""

WRONG: list[Case] = [case for module in COMPONENTS for case in module.WRONG]


def judged_after(claim: str, change: Change) -> Verdict:
    """The verdict on the claim's sound story after a change."""
    return judged(claim, changed(SOUND[claim]().history(), change))
