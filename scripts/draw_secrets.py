#!/usr/bin/env python3
"""Draws the secrets of a deployment of ``compose.yaml``: ``deploy/.env`` and ``deploy/secrets/*.key``.

The service gets digests only; the keys themselves go to their users. Nothing that is there is overwritten.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import sys
from pathlib import Path

KEYS = {
    "demo": {"user": "demo", "scopes": ["signals", "alerts"], "priority": "normal"},
    "metrics": {"user": "prometheus", "scopes": ["metrics"], "priority": "high"},
    "operator": {"user": "operator", "scopes": ["metrics", "admin"], "priority": "high"},
}


def write(path: Path, text: str, mode: int) -> None:
    """Make a file that was not there, never readable by more than ``mode`` says."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
        stream.write(text)


def draw(directory: Path) -> list[Path]:
    """Write all of it; returns the files."""
    keys = {name: f"sk_{secrets.token_urlsafe(24)}" for name in KEYS}
    entries = [
        {"id": name, "key_sha256": hashlib.sha256(keys[name].encode()).hexdigest(), **KEYS[name]} for name in KEYS
    ]
    variables = {
        "SERVICE_TOKEN": f"svc_{secrets.token_urlsafe(30)}",
        "REDIS_PASSWORD": secrets.token_urlsafe(24),
        "SIGNAL_AUDIT_KEY": secrets.token_urlsafe(24),
        "SIGNAL_API_KEYS": json.dumps(entries, separators=(",", ":")),
    }
    # Prometheus runs as another user of its container, so its key is readable inside a directory that is not.
    (directory / "secrets").mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {directory / ".env": ("".join(f"{name}={value}\n" for name, value in variables.items()), 0o600)}
    files |= {directory / "secrets" / f"{name}.key": (key, 0o644) for name, key in keys.items()}
    for path in files:
        if path.exists():
            raise FileExistsError(path)
    for path, (text, mode) in files.items():
        write(path, text, mode)
    return list(files)


def main() -> int:
    """0 written, 2 something is there already."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("directory", nargs="?", type=Path, default=Path("deploy"), help="default: deploy")
    directory = parser.parse_args().directory
    try:
        files = draw(directory)
    except OSError as error:
        taken = isinstance(error, FileExistsError)
        why = f"{error} is there already; move it away first" if taken else f"cannot be written ({error.strerror})"
        sys.stderr.write(f"draw_secrets: DIRECTORY is {str(directory)!r}: {why}\n")
        return 2
    sys.stdout.write("".join(f"{path}\n" for path in files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
