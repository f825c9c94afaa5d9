"""``python -m signal_service.edge.healthcheck [--ready]``: is the service of this container alive (or ready)?

An image needs no curl for it, and nothing heavy is imported: it is asked every few seconds. The port is that of
``SIGNAL_PORT`` or of the configuration file, as for the service.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

TIMEOUT_S = 3.0
PORT = 8080


def port_of(environ: Mapping[str, str]) -> int:
    """Where the service listens.

    Raises:
        OSError, ValueError: the configuration file cannot be read, or the port is no number.
    """
    if environ.get("SIGNAL_PORT"):
        return int(environ["SIGNAL_PORT"])
    if not environ.get("SIGNAL_CONFIG_FILE"):
        return PORT
    path = Path(environ["SIGNAL_CONFIG_FILE"])
    text = path.read_text(encoding="utf-8")
    data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    return int(data.get("port", PORT))


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """0 healthy, 1 not (as Docker wants it); one line says what was found."""
    path = "/ready" if "--ready" in arguments else "/health"
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(environ), timeout=TIMEOUT_S)
        connection.request("GET", path)
        status = connection.getresponse().status
        connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.stdout.write(f"{path}: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(f"{path}: {status}\n")
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
