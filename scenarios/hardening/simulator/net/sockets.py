"""What stands where a socket would: names and options, and no descriptor."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Self


class SimSocket:
    """What ``get_extra_info("socket")`` gives: names, and options that are remembered and change nothing."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, own: Any, peer: Any = None, *, target: Any = None) -> None:
        self.target = target
        self._own = own
        self._peer = peer
        self._options: dict[tuple[int, int], Any] = {}

    def getsockname(self) -> Any:
        """Own address."""
        return self._own

    def getpeername(self) -> Any:
        """The peer's address."""
        if self._peer is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._peer

    def setsockopt(self, level: int, option: int, value: Any, *_: Any) -> None:
        """Remembered."""
        self._options[level, option] = value

    def getsockopt(self, level: int, option: int, *_: Any) -> Any:
        """What was set, else 0."""
        return self._options.get((level, option), 0)

    def fileno(self) -> int:
        """There is no descriptor."""
        return -1

    def setblocking(self, flag: bool) -> None:
        """Nothing blocks here."""

    def settimeout(self, value: float | None) -> None:
        """Nothing blocks here."""

    def gettimeout(self) -> float:
        """As asyncio's sockets: non-blocking."""
        return 0.0

    def shutdown(self, how: int) -> None:
        """The transport does that."""

    def close(self) -> None:
        """The transport does that."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
