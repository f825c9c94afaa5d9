"""The gate and the verification, run as a workflow runs them, on certificates that must and must not get through.

The certificates are small ones made for this (``hardening.certificate.sample_certificates``): none is made inside
another.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardening.certificate.conclude import utc
from hardening.certificate.provenance import provenance
from hardening.certificate.sample_certificates import CLAIM, SAMPLES, forge, make
from hardening.certificate.signing import load_private_key, new_key_pair
from hardening.claims.c7_deployment import ANEW, GATE, SHUT
from hardening.faults.run_directory import RunDirectory
from hardening.history.events import Header, Recorder, digest_of
from hardening.runs.phases import OnPhase, Run, no_phase
from hardening.worlds.live.processes import Child, ProcessError
from hardening.worlds.spec import RunContext

CERTIFICATE = "certificate/certificate.json"
WORKFLOW_WORDS = ("gate", CERTIFICATE, "--this-code", "--require-passed")
"""The gate of the workflow, word for word; a test holds the two together."""
GATE_WORDS = (*WORKFLOW_WORDS, "--claims", CLAIM)
"""The same, asking for the one claim that the sample certificates are about."""
COMMIT = "0" * 40
"""Stands in the sample certificates: with none, or with one of a tree that is not clean, they would be WARNED."""

COMMAND_S_MAX = 60.0
AT_ONCE = 2


async def run_gates(context: RunContext, on_phase: OnPhase = no_phase) -> Run:
    """Run ``hardening gate`` and ``hardening verify`` on certificates of every kind; record a probe for each."""
    header = Header("live", {}, digest_of({}), context.seed, context.commit, (), {}, utc(), "gate")
    with RunDirectory() as directory:
        gates = _Gates(directory, Recorder(header), random.Random(f"gate-{context.seed}"), context.sabotage)
        problem = ""
        try:
            on_phase("certificates")
            await asyncio.to_thread(gates.make_all, context.seed)
            on_phase("gate")
            await gates.each([gates.gate(kind) for kind in (*GATE, *SHUT)])
            on_phase("verify")
            await gates.each([gates.verify(*one) for one in gates.to_verify()])
        except* (ProcessError, OSError, TimeoutError) as group:
            problem = "; ".join(f"{type(error).__name__}: {error}" for error in group.exceptions)
    return Run(gates.recorder.history(), problem)


class _Gates:
    def __init__(self, directory: RunDirectory, recorder: Recorder, rng: random.Random, sabotage: str) -> None:
        self.run = directory
        self.recorder = recorder
        self.rng = rng
        self.sabotage = sabotage
        self.public_key = directory.path / "signing.pem.pub"
        self._running = asyncio.Semaphore(AT_ONCE)
        self._began_s = asyncio.get_running_loop().time()

    def directory(self, kind: str) -> Path:
        return self.run.path / kind

    def make_all(self, seed: int) -> None:
        """One certificate of each kind; the passing one is signed, as a release would have it."""
        private, public, _ = new_key_pair()
        key_file = self.run.path / "signing.pem"
        key_file.write_bytes(private)
        self.public_key.write_bytes(public)
        code, now = replace(provenance(), commit=COMMIT), datetime.now(UTC)
        for kind, sample in SAMPLES.items():
            key = load_private_key(key_file, "--sign-key") if kind == "passing" else None
            make(sample, self.directory(kind), code, now, seed=seed, key=key)
        forge(self.directory("forged"), code, now, seed=seed)
        make(
            SAMPLES["passing"], self.directory("other_code"), replace(code, code_digest="sha256:other"), now, seed=seed
        )

    def to_verify(self) -> list[tuple[Path, str | bool, str, int]]:
        """Directory, altered file (false: none), how, and at which byte: copies of the passing one, and the forged."""
        sound = self.directory("passing")
        found: list[tuple[Path, str | bool, str, int]] = [(sound, False, "", 0)]
        for file in ("histories/deployment.jsonl", "certificate.json", "manifest.dsse.json"):
            copy = self._copy(file)
            data = bytearray((copy / file).read_bytes())
            offset = self.rng.randrange(len(data))
            data[offset] ^= 1 << self.rng.randrange(8)
            (copy / file).write_bytes(data)
            found.append((copy, file, "byte", offset))
        more = self._copy("more")
        (more / "approved.txt").write_text("approved\n", encoding="utf-8")
        found.append((more, "approved.txt", "added", 0))
        return [*found, (self.directory("forged"), "histories/deployment.jsonl", ANEW, 0)]

    def _copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.directory("passing"), self.run.path / f"altered-{name.replace('/', '-')}"))

    async def each(self, jobs: list[Coroutine[Any, Any, None]]) -> None:
        """All of them, two at a time."""
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)

    async def gate(self, kind: str) -> None:
        """The very words of the workflow's step, on one certificate."""
        words = [word.replace(CERTIFICATE, str(self.directory(kind) / "certificate.json")) for word in GATE_WORDS]
        code, said = await self._hardening(f"gate-{kind}", words)
        self._probe(
            probe="gate", certificate=kind, exit_code=code, command=f"hardening {' '.join(GATE_WORDS)}", said=said
        )

    async def verify(self, directory: Path, altered: str | bool, how: str, offset: int) -> None:
        """``hardening verify``, with the key where there is a signature."""
        signed = (directory / "certificate.dsse.json").exists()
        words = ["verify", str(directory / "certificate.json")]
        words += ["--key", str(self.public_key)] if signed else []
        code, said = await self._hardening(f"verify-{directory.name}", words)
        value: dict[str, Any] = {"probe": "verify", "altered": altered, "exit_code": code, "said": said}
        self._probe(**value, **({"how": how, "offset": offset} if how else {}))

    async def _hardening(self, name: str, words: list[str]) -> tuple[int, str]:
        """Run it in a process of its own; its exit code and its last line."""
        module = ["hardening.commands.sabotaged", self.sabotage] if self.sabotage else ["hardening.commands.cli"]
        child = Child(name, [sys.executable, "-m", *module, *words], self.run)
        async with self._running:
            await child.start()
            try:
                code = await child.wait(COMMAND_S_MAX)
            finally:
                await child.stop(1.0)
        return code, child.tail[-1].replace(f"{self.run.path}/", "") if child.tail else ""

    def _probe(self, **value: Any) -> None:
        now_s = asyncio.get_running_loop().time() - self._began_s
        self.recorder.add(now_s, "harness", "state", "probe", value)
