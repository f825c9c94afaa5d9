"""Sessions in which a claim once failed: none may fail in the same way again."""

from __future__ import annotations

import pytest

from hardening.sessions.regressions import adopted
from hardening.sessions.runners import runner_of
from hardening.sessions.store import SHIPPED_REGRESSIONS, Stored

CASES = [
    pytest.param(stored, id=stored.session.name, marks=[pytest.mark.live] if stored.session.world == "live" else [])
    for stored in adopted(SHIPPED_REGRESSIONS)
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("stored", CASES)
def test_what_once_failed_holds_now(stored: Stored) -> None:
    """Run it once more in its own world."""
    session = stored.session
    with runner_of(session.world) as runner:
        tried = runner.run(session)
    assert not tried.problem
    assert not tried.reproduces(session), f"{sorted(tried.failed)}; hardening replay {session.name}"
