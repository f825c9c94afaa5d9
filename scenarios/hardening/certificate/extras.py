"""Which extra of the package brings a library that is not installed.

In comes a ``ModuleNotFoundError`` or the import name of a library; out comes one line that says what to install, by
what the installed package's own metadata states of its extras. Raises nothing of its own but that error.
"""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata

PACKAGE = "signal-hardening"
EXTRAS = ("certify", "service", "load", "all")
"""The extras that may be named to a user; of several that bring a library, the first is."""

_LIBRARIES = {
    "gevent": "locust",
    "geventhttpclient": "locust",
    "markupsafe": "jinja2",
    "re2": "google-re2",
    "starlette": "fastapi",
    "toxiproxy": "toxiproxy-python",
    "yaml": "pyyaml",
}
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
    library = library_with((error.name or "").partition(".")[0])
    extra = next((one for one in EXTRAS if library in _libraries_of(one)), "")
    return f'needs {library}: pip install "{PACKAGE}[{extra}]"' if extra else ""


def library_with(module: str) -> str:
    """The library that brings a top-level module."""
    return _normal(_LIBRARIES.get(module, module))


def library_of(requirement: str) -> str:
    """The library that a requirement such as ``redis[hiredis]>=8.1`` names."""
    return _normal(re.split(r"[\s\[<>=!~(;]", requirement, maxsplit=1)[0])


def _libraries_of(extra: str) -> set[str]:
    """The libraries that an extra adds."""
    stated = [one.partition(";") for one in metadata.requires(PACKAGE) or ()]
    marker = re.compile(rf"""extra\s*==\s*['"]{extra}['"]""")
    return {library_of(name) for name, _, when in stated if marker.search(when)}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
