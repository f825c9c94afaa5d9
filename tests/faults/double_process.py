"""A small process with an agent inside: it answers questions about itself, so that a fault can be seen from within.

One JSON line per question on a TCP port; the port is the first line it writes. A blocked event loop, a lack of
descriptors, a moved clock show in the answers.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from hardening.worlds.agent.agent import Agent


async def answer(question: dict[str, Any]) -> Any:
    ask = question["ask"]
    if ask == "time":
        return time.time()
    if ask == "look_up":
        try:
            return (await asyncio.get_running_loop().getaddrinfo(question["name"], 80))[0][4][0]
        except OSError as error:
            return f"{type(error).__name__}: {error}"
    if ask in {"append", "log"}:
        descriptor = os.open(question["path"], os.O_WRONLY | os.O_APPEND | os.O_CREAT) if ask == "append" else 1
        try:
            return os.write(descriptor, question["text"].encode())
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        finally:
            if ask == "append":
                os.close(descriptor)
    if ask == "open":
        try:
            os.close(os.open("/dev/null", os.O_RDONLY))
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return "open"
    if ask == "allocate":
        try:
            return len(bytearray(question["bytes"]))
        except MemoryError:
            return "MemoryError"
    return None


async def main(agent: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(json.dumps(await answer(json.loads(line))).encode() + b"\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    os.write(1, json.dumps({"port": server.sockets[0].getsockname()[1]}).encode() + b"\n")
    await stop.wait()
    server.close()


if __name__ == "__main__":
    Agent(Path(sys.argv[1])).start()
    asyncio.run(main(Path(sys.argv[1])))
