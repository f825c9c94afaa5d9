"""aiohttp connects a socket itself (aiohappyeyeballs) and hands it to the loop: inside a run it is a simulated one."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from hardening.simulator.adapters.stdlib import Sandbox
from hardening.simulator.net.sockets import SimSocket


@contextlib.contextmanager
def simulated_sockets(box: Sandbox) -> Iterator[None]:
    """Patch ``aiohappyeyeballs.start_connection`` while the context lasts, if it is loaded."""
    module: Any = sys.modules.get("aiohappyeyeballs")
    if module is None:
        yield
        return
    real = module.start_connection

    async def start_connection(addr_infos: Any, *args: Any, **options: Any) -> Any:
        if box.loop is None:
            return await real(addr_infos, *args, **options)
        # The connection itself is made by create_connection, which sees where this socket points to.
        await asyncio.sleep(0)
        return SimSocket(None, target=tuple(addr_infos[0][4][:2]))

    module.start_connection = start_connection
    try:
        yield
    finally:
        module.start_connection = real
