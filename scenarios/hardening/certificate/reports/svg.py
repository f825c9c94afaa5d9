"""Writes SVG: elements, their text and attributes escaped, and round steps for an axis.

In come numbers in pixels and texts from anywhere; out comes ``Markup`` in which no text can become an element. Colours
are CSS classes, so that the page that holds a drawing decides between light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

STEPS = (1, 2, 4, 8, 10)
"""A quarter of each, times a power of ten, is a short number too."""


def element(name: str, *inner: str, title: str = "", **attributes: Any) -> Markup:
    """One element.

    Args:
        name: of the element.
        inner: what it holds; text is escaped, ``Markup`` stands as it is.
        title: shown when the pointer rests on it.
        attributes: by name; ``css`` stands for ``class``, an underscore for a hyphen. Numbers keep one decimal.
    """
    stated = Markup("").join(Markup(' {}="{}"').format(_attribute(key), _value(one)) for key, one in attributes.items())
    held = Markup("").join([*([element("title", title)] if title else []), *map(escape, inner)])
    return Markup("<{0}{1}>{2}</{0}>").format(name, stated, held)


def _attribute(name: str) -> str:
    return "class" if name == "css" else name.replace("_", "-")


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def rect(css: str, x: float, y: float, width: float, height: float, title: str = "") -> Markup:
    """A filled rectangle."""
    return element("rect", title=title, css=css, x=x, y=y, width=width, height=height)


def path(css: str, d: str) -> Markup:
    """A line along path commands."""
    return element("path", css=css, d=d)


def line(css: str, start: tuple[float, float], end: tuple[float, float], title: str = "") -> Markup:
    """A straight line between two points."""
    return element("line", title=title, css=css, x1=start[0], y1=start[1], x2=end[0], y2=end[1])


def text(css: str, x: float, y: float, said: str) -> Markup:
    """A label; where it is anchored is for its class to say."""
    return element("text", said, css=css, x=x, y=y)


def drawing(css: str, width: float, height: float, *inner: str, **attributes: Any) -> Markup:
    """The whole picture: ``inner`` inside ``svg``, of this size in pixels."""
    box = f"0 0 {width:g} {height:g}"
    return element("svg", *inner, css=css, role="img", viewBox=box, width=width, height=height, **attributes)


def round_up(value: float, steps: Iterable[int] = STEPS) -> float:
    """The least of ``steps`` times a power of ten that is at or above a positive value; 1 for anything else."""
    if value <= 0:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(value))
    return next(step * scale for step in steps if step * scale >= value)
