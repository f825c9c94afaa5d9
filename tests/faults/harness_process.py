"""A harness that injects one fault and waits; it is to be ended by a signal. Prints what the tests look for."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from double_world import double_world

from hardening.faults.catalogue import build
from hardening.faults.schedule import Injection
from hardening.runs.interrupt import InterruptedRunError, run


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def main(root: Path, faults: list[dict[str, object]]) -> None:
    async with double_world(root, redis=True) as world:
        injections = [Injection(build(fault), world) for fault in faults]
        try:
            for injection in injections:
                await injection.__aenter__()
            pids = [owned.pid for owned in world.run.owned()]
            say({"pids": pids, "run": str(world.run.path)})
            await asyncio.sleep(60)
        finally:
            for injection in reversed(injections):
                await injection.__aexit__()
            assert world.redis is not None
            healed = await world.redis.alive() and await world.process.alive()
            say({"healed": healed, "bit": [i.effect.effective for i in injections if i.effect]})


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a test run under nohup hands on that it is ignored
    try:
        run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
    except InterruptedRunError as error:
        say({"signal": error.signal})
