"""Writes the figures of a verdict as one line of text, the same in every report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def figures_shown(figures: Mapping[str, Any]) -> str:
    """``name value`` each; those of several histories by name of the history."""
    shown = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            shown.append(f"{name}: {figures_shown(value)}" if value else str(name))
        elif isinstance(value, float):
            shown.append(f"{name} {value:g}")
        elif isinstance(value, list | tuple):
            shown.append(f"{name} {', '.join(str(item) for item in value)}")
        else:
            shown.append(f"{name} {value}")
    return "; ".join(shown)
