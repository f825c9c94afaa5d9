"""stub"""

from typing import Any


def page(j: Any) -> str:
    return ""
