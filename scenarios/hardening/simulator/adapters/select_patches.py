"""``select.poll`` and ``select.select`` inside a run: they know simulated sockets beside real descriptors.

HTTP clients ask so whether a kept connection was closed meanwhile. Limits are virtual: milliseconds for ``poll``,
seconds for ``select``.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from hardening.simulator.net.sockets import SimSocket, socket_of


class RunHolder(Protocol):
    """Who knows the run that is going on."""

    loop: Any


def select_patches(box: RunHolder) -> list[tuple[Any, str, Any]]:
    """What to set in ``select``."""
    return [(select, "poll", _poll(box, select.poll)), (select, "select", _select(box, select.select))]


def _poll(box: RunHolder, real: Callable[[], Any]) -> Callable[[], Any]:
    def poll() -> Any:
        return real() if box.loop is None or not box.loop.is_here() else SimPoll(box.loop)

    return poll


class SimPoll:
    """What ``select.poll()`` gives, for simulated sockets."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._masks: dict[int, int] = {}

    def register(self, fd: Any, eventmask: int = select.POLLIN | select.POLLPRI | select.POLLOUT) -> None:
        """Look at a descriptor."""
        self._masks[fd if isinstance(fd, int) else fd.fileno()] = eventmask

    modify = register

    def unregister(self, fd: Any) -> None:
        """Look at it no longer."""
        del self._masks[fd if isinstance(fd, int) else fd.fileno()]

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        """What is ready now, or within ``timeout`` ms."""
        deadline_s = None if timeout is None or timeout < 0 else self._loop.now_s + timeout / 1000
        if deadline_s is None or deadline_s > self._loop.now_s:
            self._loop.block(lambda: bool(self._ready()), deadline_s, "select.poll")
        return self._ready()

    def _ready(self) -> list[tuple[int, int]]:
        found = []
        for fd, mask in self._masks.items():
            sock = socket_of(fd)
            events = select.POLLNVAL if sock is None else _events(sock) & (mask | select.POLLHUP | select.POLLERR)
            if events:
                found.append((fd, events))
        return found


def _events(sock: SimSocket) -> int:
    state = sock.state
    if state.listener is not None:
        return select.POLLIN if state.listener.waiting else 0
    if state.end is None:
        return select.POLLHUP | select.POLLOUT
    return (select.POLLIN if state.end.is_readable else 0) | (select.POLLOUT if state.end.room else 0)


def _select(box: RunHolder, real: Callable[..., Any]) -> Callable[..., Any]:
    def select_(rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any], timeout: float | None = None) -> Any:
        readers, writers = list(rlist), list(wlist)
        loop = box.loop
        if loop is None or not loop.is_here() or not any(map(socket_of, [*readers, *writers])):
            return real(readers, writers, xlist, timeout)

        def ready(things: list[Any], mask: int) -> list[Any]:
            return [thing for thing in things if (sock := socket_of(thing)) is not None and _events(sock) & mask]

        def found() -> bool:
            return bool(ready(readers, select.POLLIN) or ready(writers, select.POLLOUT))

        loop.block(found, None if timeout is None else loop.now_s + timeout, "select.select")
        return ready(readers, select.POLLIN), ready(writers, select.POLLOUT), []

    return select_
