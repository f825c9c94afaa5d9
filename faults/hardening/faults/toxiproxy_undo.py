"""Undoes what a killed run did to a Toxiproxy that is not ours: removes its toxics, enables links that it cut.

In: the undo record that the run wrote (URL, pid, names of proxies); out: whether there was anything to undo. A
Toxiproxy that does not answer or refuses is an ``OSError``.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import requests

CALL_S_MAX = 5.0


def undo_record(url: str, pid: int, cut: list[str]) -> dict[str, str]:
    """What to write down before the first toxic.

    Args:
        url: of the Toxiproxy.
        pid: of the run; the names of its toxics end in it and a number.
        cut: proxies that the run may disable, and that were enabled before.
    """
    return {"undo": "toxiproxy", "url": url, "pid": str(pid), "cut": ",".join(cut)}


def is_undo_record(record: Mapping[str, str]) -> bool:
    """True for a record that ``undo_toxics`` takes."""
    url = urlsplit(str(record.get("url", "")))
    return url.scheme in {"http", "https"} and bool(url.hostname) and str(record.get("pid", "")).isdigit()


def undo_toxics(record: Mapping[str, str]) -> bool:
    """Remove the run's toxics and enable what it cut; false when there was nothing of it.

    A Toxiproxy that is gone took its toxics along.

    Raises:
        OSError: when the Toxiproxy does not answer, or refuses.
    """
    url = record["url"].rstrip("/")
    where = urlsplit(url)
    try:
        socket.create_connection((where.hostname, where.port or 8474), CALL_S_MAX).close()
    except ConnectionRefusedError:
        return False
    ours = re.compile(rf"_{record['pid']}_\d+$")
    cut = set(filter(None, record.get("cut", "").split(",")))
    done = False
    for name, proxy in sorted(_call("get", f"{url}/proxies").items()):
        path = f"{url}/proxies/{quote(name, safe='')}"
        for toxic in proxy["toxics"]:
            if ours.search(str(toxic["name"])):
                _call("delete", f"{path}/toxics/{quote(str(toxic['name']), safe='')}")
                done = True
        if name in cut and not proxy["enabled"]:
            _call("post", path, {"enabled": True})
            done = True
    return done


def _call(verb: str, url: str, body: Any = None) -> Any:
    # An empty entry beats HTTP_PROXY of the environment; RequestException is an OSError.
    answer = requests.request(verb, url, json=body, timeout=CALL_S_MAX, proxies={"http": "", "https": ""})
    answer.raise_for_status()
    return answer.json() if answer.content else None
