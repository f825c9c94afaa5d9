"""Two hosts and a router between them, each a network namespace of its own; nothing outside of them is touched.

``hosts.inside("left", argv)`` is the command line that runs ``argv`` on a host. It takes root and Linux; where
they are missing ``start`` says so in one line. The namespaces are written down as undo records first, so that the
next start removes what a killed run left.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

from hardening.faults.base import HealError, UnsupportedTargetError
from hardening.faults.run_directory import NAMESPACE_PREFIX, RunDirectory

ADDRESSES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # host: (its address, the router's address on its side); link-local, so that they can be nobody else's
        "left": ("169.254.77.2", "169.254.77.1"),
        "right": ("169.254.78.2", "169.254.78.1"),
    }
)
_FORWARD = "/proc/sys/net/ipv4/ip_forward"


class PartedHosts:
    """Implements ``Hosts``; ``async with`` makes them and removes them."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._mark = run.path.name.removeprefix("run-")
        self._records: dict[str, Path] = {}
        self._received_before = 0

    def name(self, host: str) -> str:
        """The namespace of ``left``, ``right`` or ``router``."""
        return f"{NAMESPACE_PREFIX}{self._mark}-{host}"

    def inside(self, host: str, argv: Sequence[str]) -> list[str]:
        """``argv``, to be run on that host."""
        return ["ip", "netns", "exec", self.name(host), *argv]

    async def __aenter__(self) -> Self:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise UnsupportedTargetError("fault.target", "hosts", "root and the command 'ip' (network namespaces)")
        try:
            for host in ("router", *ADDRESSES):
                await self._add(host)
            for number, host in enumerate(ADDRESSES):
                await self._cable(host, number)
            await self._forward(on=True)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        for host, record in list(self._records.items()):
            await _ip("netns", "delete", self.name(host), check=False)
            record.unlink(missing_ok=True)
            del self._records[host]

    async def _add(self, host: str) -> None:
        self._records[host] = self._run.undo_later({"undo": "netns", "name": self.name(host)})
        await _ip("netns", "add", self.name(host))
        await _ip("-n", self.name(host), "link", "set", "lo", "up")

    async def _cable(self, host: str, number: int) -> None:
        """A cable from the host to the router, made inside their namespaces from the start."""
        own, gateway = ADDRESSES[host]
        ours, theirs = "eth0", f"eth{number}"
        peer = ["peer", "name", theirs, "netns", self.name("router")]
        await _ip("-n", self.name(host), "link", "add", ours, "type", "veth", *peer)
        for place, link, address in ((host, ours, own), ("router", theirs, gateway)):
            await _ip("-n", self.name(place), "addr", "add", f"{address}/30", "dev", link)
            await _ip("-n", self.name(place), "link", "set", link, "up")
        await _ip("-n", self.name(host), "route", "add", "default", "via", gateway)

    async def _forward(self, *, on: bool) -> None:
        await _run(*self.inside("router", ["sh", "-c", f"echo {int(on)} > {_FORWARD}"]))

    async def _received(self) -> int:
        """IPv4 packets that the router has received so far (name look-ups of the link layer do not count)."""
        text = await _run(*self.inside("router", ["cat", "/proc/net/snmp"]))
        names, values = re.findall(r"^Ip: (.*)$", text, re.MULTILINE)
        return int(dict(zip(names.split(), values.split(), strict=True))["InReceives"])

    async def part(self) -> None:
        """See ``hardening.faults.targets.Hosts``."""
        await self._forward(on=False)
        self._received_before = await self._received()

    async def join(self) -> None:
        """See ``hardening.faults.targets.Hosts``."""
        await self._forward(on=True)
        if (await _run(*self.inside("router", ["cat", _FORWARD]))).strip() != "1":
            raise HealError("the router between the hosts does not forward")

    async def lost(self) -> int:
        """See ``hardening.faults.targets.Hosts``."""
        return await self._received() - self._received_before


async def _ip(*arguments: str, check: bool = True) -> str:
    return await _run("ip", *arguments, check=check)


async def _run(*argv: str, check: bool = True) -> str:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe)
    out, error = await process.communicate()
    if check and process.returncode != 0:
        said = error.decode(errors="replace").strip()
        raise UnsupportedTargetError("fault.target", "hosts", f"network namespaces ({' '.join(argv)}: {said})")
    return out.decode(errors="replace")
