"""The chain of audit records: each line holds the hash of the one before, and its own over its exact bytes.

A line is ``{"seq", "time", "action", "actor", "outcome", "request_id", "fields", "prev", "hash"}``; ``hash`` is
SHA-256, or HMAC-SHA256 under the audit key, of the line up to ``,"hash"``. Beside the file stands ``<file>.head``
with the number of records, the last ``hash``, and an HMAC over both under the audit key, for a chain alone does not
show that its end was cut off. A person who has the key, or kept a copy of an older file with its head, can put that in
place; ship the head away where that matters.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from signal_service.seams import FileStore
from signal_service.security.audit_files import DiskFiles

GENESIS = "0" * 64
RECOVERED = "audit.recovered"

_SEAL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\Z')

Kind = Literal["altered", "removed", "reordered", "truncated", "torn_tail", "unanchored", "unreadable"]


@dataclass(frozen=True, slots=True)
class AuditProblem:
    """Something that is wrong with an audit file.

    Attributes:
        kind: ``torn_tail`` is the trace of a crash in mid-write, ``unanchored`` a file without a head that is sealed.
        line: counts from 1; 0 for the file as a whole.
        detail: what was expected.
    """

    kind: Kind
    line: int
    detail: str

    @property
    def harmless(self) -> bool:
        """Whether it is no sign of tampering by itself: a crash explains it."""
        return self.kind == "torn_tail"


@dataclass(frozen=True, slots=True)
class Link:
    """The end of a chain: what the next record refers to."""

    seq: int = 0
    hash: str = GENESIS


def head_path(path: Path) -> Path:
    """Where the anchor of ``path`` stands."""
    return path.with_name(path.name + ".head")


def seal(record: dict[str, Any], link: Link, key: bytes) -> tuple[bytes, Link]:
    """The record as a line (with its newline) behind ``link``, and the new end of the chain."""
    whole = {"seq": link.seq + 1, **record, "prev": link.hash}
    body = json.dumps(whole, separators=(",", ":"), default=str).encode()[:-1]
    digest = _digest(body, key)
    return body + f',"hash":"{digest}"}}\n'.encode(), Link(link.seq + 1, digest)


def read_link(line: bytes) -> Link | None:
    """Sequence number and hash that a line claims; None when it is no record."""
    seals = _SEAL.search(line)
    try:
        return Link(int(json.loads(line)["seq"]), seals[1].decode()) if seals else None
    except (ValueError, KeyError, TypeError):
        return None


def read_head(data: bytes, key: bytes) -> Link | None:
    """The anchor; None when it is no anchor, or not sealed with ``key``."""
    try:
        head = json.loads(data)
        link = Link(int(head["count"]), str(head["hash"]))
        return link if hmac.compare_digest(data, write_head(link, key)) else None
    except (ValueError, KeyError, TypeError):
        return None


def write_head(link: Link, key: bytes) -> bytes:
    """The anchor as bytes: how many records there are, the hash of the last, and the seal over both."""
    body = json.dumps({"count": link.seq, "hash": link.hash}).encode()[:-1]
    return body + f', "seal": "{_digest(body, key)}"}}\n'.encode()


def torn_fields(torn: bytes) -> dict[str, Any]:
    """What a recovery record says of the half line before it."""
    return {"torn_bytes": len(torn), "torn_sha256": hashlib.sha256(torn).hexdigest()}


def verify_audit(path: Path, key: bytes | str = b"", files: FileStore | None = None) -> list[AuditProblem]:
    """Every sign that records of ``path`` were removed, altered, reordered or cut off; empty when there is none.

    Args:
        path: the audit file; its head is looked for beside it.
        key: the audit key, if the service had one.
        files: where to read; the disk by default.
    """
    files = files or DiskFiles()
    try:
        data = files.read(path)
    except OSError as error:
        return [AuditProblem("unreadable", 0, f"{error.strerror or error}")]
    lines = data.split(b"\n")
    torn = lines.pop()
    links: dict[int, str] = {}
    problems = list(_chain_problems(lines, key_bytes(key), links))
    if torn:
        problems.append(AuditProblem("torn_tail", len(lines) + 1, f"half a record of {len(torn)} bytes at the end"))
    try:
        head = read_head(files.read(head_path(path)), key_bytes(key))
    except OSError:
        head = None
    if head is None:
        problems.append(AuditProblem("unanchored", 0, "there is no head with a seal: a cut-off end would not show"))
    elif head.seq > max(links, default=0):
        detail = f"the head knows record {head.seq}, the last one is {max(links, default=0)}"
        problems.append(AuditProblem("truncated", len(lines), detail))
    elif head.seq and links.get(head.seq) != head.hash:
        problems.append(AuditProblem("altered", 0, f"record {head.seq} is not the one that the head knows"))
    return problems


def key_bytes(key: bytes | str) -> bytes:
    """The key as bytes."""
    return key.encode() if isinstance(key, str) else key


def _chain_problems(lines: list[bytes], key: bytes, links: dict[int, str]) -> Iterator[AuditProblem]:
    end = Link()
    for number, line in enumerate(lines, 1):
        link = read_link(line)
        if link is None:
            follower = lines[number] if number < len(lines) else b""
            if _tells_of(follower, line):
                yield AuditProblem("torn_tail", number, f"half a record of {len(line)} bytes, as the next one says")
            else:
                yield AuditProblem("altered", number, "not a record")
            continue
        links[link.seq] = link.hash
        if _digest(line[: -len(',"hash":"') - len(link.hash) - len('"}')], key) != link.hash:
            yield AuditProblem("altered", number, f"record {link.seq} does not match its hash")
        if link.seq > end.seq + 1:
            yield AuditProblem("removed", number, f"records {end.seq + 1} to {link.seq - 1} are missing")
        elif link.seq <= end.seq:
            yield AuditProblem("reordered", number, f"record {link.seq} stands behind record {end.seq}")
        elif json.loads(line).get("prev") != end.hash:
            yield AuditProblem("altered", number, f"record {end.seq} is not the one that record {link.seq} refers to")
        end = link


def _tells_of(line: bytes, torn: bytes) -> bool:
    if read_link(line) is None:
        return False
    record = json.loads(line)
    fields = record.get("fields")
    if record.get("action") != RECOVERED or not isinstance(fields, dict):
        return False
    return torn_fields(torn).items() <= fields.items()


def _digest(body: bytes, key: bytes) -> str:
    return hmac.new(key, body, hashlib.sha256).hexdigest() if key else hashlib.sha256(body).hexdigest()
