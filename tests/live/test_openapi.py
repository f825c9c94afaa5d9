"""The running service keeps its own OpenAPI document: Schemathesis finds no 500 and no undocumented status."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hardening.worlds.live.world import LiveWorld

pytestmark = [pytest.mark.live, pytest.mark.asyncio, pytest.mark.timeout(240)]

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture
def hardening_live_settings() -> dict[str, Any]:
    """No limit of rate, and no level: what is asked for must reach the routes."""
    return {
        "budgets": {"accepted_per_window": 1_000_000, "loop_lag_ms": 10_000, "cpu_share": 64},
        "log_events": "summary",
    }


@pytest.mark.parametrize(("key", "only"), [("demo", "^/v2/"), ("operator", "^/(health|ready|metrics|admin)")])
async def test_every_answer_is_one_that_the_document_promises(
    live_world: LiveWorld, tmp_path: Path, key: str, only: str
) -> None:
    assert live_world.service.address is not None
    host, port = live_world.service.address
    secret = live_world.secrets.keys[key].key
    argv = [str(Path(sys.executable).with_name("schemathesis")), "run", f"http://{host}:{port}/openapi.json"]
    argv += ["--header", f"X-API-Key: {secret}", "--checks", CHECKS, "--include-path-regex", only]
    argv += ["--max-examples", "25", "--seed", "7", "--phases", "examples,coverage,fuzzing", "--no-color"]
    done = await asyncio.to_thread(
        subprocess.run, argv, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert live_world.service.child.running()
