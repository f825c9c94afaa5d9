"""Which extra of the package brings a library that is not installed.

In comes a ``ModuleNotFoundError`` or the import name of a library; out comes one line that says what to install, by
what the installed package's own metadata states of its extras. Raises nothing of its own but that error.
"""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata

PACKAGE = "signal-hardening"
EXTRAS = ("certify", "service", "load")
"""The extras that may be named to a user; of several that bring a library, the first is."""

_LIBRARIES = {"toxiproxy": "toxiproxy-python", "yaml": "pyyaml", "gevent": "locust", "geventhttpclient": "locust"}
"""Import names that are not their library's own name, or come with another library."""


def needs(*modules: str) -> None:
    """Return when each of these modules can be imported; for a command that starts them in other processes.

    Raises:
        ModuleNotFoundError: for the first that cannot, as an import would raise it.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def what_to_install(error: ModuleNotFoundError) -> str:
    """``needs locust: pip install "signal-hardening[load]"``; empty when no extra brings what is missing."""
    top = (error.name or "").partition(".")[0]
    library = _normal(_LIBRARIES.get(top, top))
    brought_by = {extra for extra in EXTRAS if library in _libraries_of(extra)}
    extra = next((one for one in EXTRAS if one in brought_by), "")
    return f'needs {library}: pip install "{PACKAGE}[{extra}]"' if extra else ""


def _libraries_of(extra: str) -> set[str]:
    """The libraries that an extra adds, by their normalised names."""
    stated = [one.partition(";") for one in metadata.requires(PACKAGE) or ()]
    marker = re.compile(rf"""extra\s*==\s*['"]{extra}['"]""")
    return {_normal(re.split(r"[\s\[<>=!~(]", name, maxsplit=1)[0]) for name, _, when in stated if marker.search(when)}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
