"""The manifest of a certificate's directory: every file with its SHA-256, and one digest of the whole.

In comes the directory, out come digests (``sha256:`` and hex) or a ``ManifestError`` that names the first file that is
not as it should be. ``manifest.json`` lists every file but itself, its envelope and ``digest.txt``; ``digest.txt`` is
the digest over the former two. So one line stands for every byte in the directory.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from hardening.certificate.statement import digest_files

FORMAT = "signal-hardening/manifest"
MANIFEST_FILE = "manifest.json"
ENVELOPE_FILE = "manifest.dsse.json"
DIGEST_FILE = "digest.txt"
_APART = (MANIFEST_FILE, ENVELOPE_FILE, DIGEST_FILE)


FILES_MAX = 10_000
FILE_BYTES_MAX = 64 * 2**20
WHOLE_BYTES_MAX = 192 * 2**20
"""What is larger is not read: the author of a certificate must not choose how much memory its reader needs.
A history takes about ten times its size while it is judged."""


class ManifestError(ValueError):
    """The directory is not what its manifest says.

    Attributes:
        file: the file that shows it, relative to the directory.
    """

    def __init__(self, file: str, message: str) -> None:
        super().__init__(f"{file} {message}")
        self.file = file


def files_below(directory: Path) -> list[str]:
    """Every file below the directory, by relative path with slashes, in order; links count as files."""
    found = [path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(path.relative_to(directory).as_posix() for path in found)


def check_sizes(directory: Path) -> str:
    """Files and bytes below the directory, which are no more than may be read; from what the file system says alone.

    Raises:
        ManifestError: for a file that is too large or no plain file, too many of them, or too much in all.
    """
    number = whole = 0
    for folder, _, names in os.walk(directory):
        for path in (Path(folder) / name for name in names):
            state, shown = path.lstat(), path.relative_to(directory).as_posix()
            number, whole = number + 1, whole + state.st_size
            if not stat.S_ISREG(state.st_mode):
                raise ManifestError(shown, "is not a plain file")
            if state.st_size > FILE_BYTES_MAX:
                raise ManifestError(shown, f"has {state.st_size:,} bytes, allowed: {FILE_BYTES_MAX:,}")
            if number > FILES_MAX or whole > WHOLE_BYTES_MAX:
                allowed = f"{FILES_MAX:,} files, {WHOLE_BYTES_MAX:,} bytes"
                raise ManifestError("the directory", f"holds more than may be read, allowed: {allowed}")
    return f"{number} files, {whole:,} bytes"


def manifest_text(directory: Path, key_id: str = "") -> str:
    """The manifest of what lies there now; ``key_id`` names the key that signs it."""
    files = {name: _entry(directory / name) for name in files_below(directory) if name not in _APART}
    return json.dumps({"format": FORMAT, "version": 1, "key_id": key_id, "files": files}, indent=1) + "\n"


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def whole_digest(directory: Path) -> str:
    """The digest of the whole, from the manifest and, where there is one, its envelope."""
    present = [name for name in (MANIFEST_FILE, ENVELOPE_FILE) if (directory / name).is_file()]
    return digest_files({name: (directory / name).read_bytes() for name in present})


def check_digest(directory: Path) -> str:
    """The digest of the whole, when ``digest.txt`` states it.

    Raises:
        ManifestError: when a file is missing or the digest is another.
    """
    for name in (DIGEST_FILE, MANIFEST_FILE):
        if not (directory / name).is_file():
            raise ManifestError(name, "is missing")
    digest = whole_digest(directory)
    if (directory / DIGEST_FILE).read_bytes() != f"{digest}\n".encode():
        raise ManifestError(DIGEST_FILE, f"does not state the digest of {MANIFEST_FILE}, which is {digest}")
    return digest


def check_files(directory: Path) -> dict[str, Any]:
    """The manifest, when every file is as it says and there is no other.

    Raises:
        ManifestError: for the first file, by name, that is not.
    """
    manifest, listed = _listed(directory)
    present = [name for name in files_below(directory) if name not in _APART]
    for name in sorted({*listed, *present}):
        path = directory / name
        if name not in present:
            raise ManifestError(name, "is missing, the manifest lists it")
        if name not in listed:
            raise ManifestError(name, "was added, the manifest does not list it")
        if path.is_symlink() or not path.is_file():
            raise ManifestError(name, "is not a plain file")
        if _entry(path)["sha256"] != listed[name]:
            raise ManifestError(name, "was altered, its SHA-256 is not that of the manifest")
    if bool(manifest["key_id"]) != (directory / ENVELOPE_FILE).is_file():
        state = (
            "is missing, the manifest says that it is signed" if manifest["key_id"] else "signs an unsigned manifest"
        )
        raise ManifestError(ENVELOPE_FILE, state)
    return manifest


def _listed(directory: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The manifest, and the SHA-256 that it states for each file."""
    refusal = ManifestError(MANIFEST_FILE, f"is no manifest of format {FORMAT!r}")
    try:
        manifest = dict(json.loads((directory / MANIFEST_FILE).read_bytes()))
        listed = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
        known = manifest["format"] == FORMAT and isinstance(manifest["key_id"], str)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise refusal from None
    if not known:
        raise refusal
    return manifest, listed
