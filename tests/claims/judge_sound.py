"""One sound story for each claim: in it the claim's premise occurs and the promise is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from judge_sound_data import DATA, LONG_SECRET
from judge_sound_service import SERVICE
from judge_story import Story

__all__ = ["LONG_SECRET", "SOUND"]

SOUND: Mapping[str, Callable[[], Story]] = {**SERVICE, **DATA}
