# ruff: noqa: ANN001, ANN202, ANN204, N818 - programs under test are written as anybody would write them
"""A breaker and a shared load that keep their promises: the twins of the libraries' programs."""

import asyncio


class Refused(Exception):
    """The breaker is open."""


class SoundBreaker:
    """One probe under a lease; cancellation is neither success nor failure; generations make late answers harmless."""

    def __init__(self, failures, open_s):
        self.failures_max, self.open_s = failures, open_s
        self.state, self.failures, self.generation = "closed", 0, 0
        self.opened_s, self.probing = 0.0, False

    async def call(self, work):
        now = asyncio.get_running_loop().time()
        if self.state == "open" and now - self.opened_s >= self.open_s:
            self.state = "half_open"
        if self.state == "open" or (self.state == "half_open" and self.probing):
            raise Refused
        probe, generation = self.state == "half_open", self.generation
        self.probing = self.probing or probe
        try:
            result = await work()
        except Exception:
            if generation == self.generation:
                self._failed(probe)
            raise
        finally:
            if probe:
                self.probing = False
        if generation == self.generation:
            self.state, self.failures = "closed", 0
            self.generation += probe
        return result

    def _failed(self, probe):
        self.failures += 1
        if probe or self.failures >= self.failures_max:
            self.state, self.failures = "open", 0
            self.opened_s = asyncio.get_running_loop().time()
            self.generation += 1


class SharedLoad:
    """Callers share one load that none of them owns."""

    def __init__(self, load):
        self.load, self.task = load, None

    async def get(self):
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self.load(), name="load")
        return await asyncio.shield(self.task)
