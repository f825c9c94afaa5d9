"""A close that fails after it did its work: once, only where it was asked for, and undone afterwards."""

from __future__ import annotations

import errno

import httpx
import pytest

from hardening.worlds.shared.unclosable import ASKED_FOR, VARIABLE, taken_from_environment, unclosable


@pytest.mark.asyncio
async def test_the_first_client_that_is_closed_closes_and_raises_and_the_others_close() -> None:
    first, second = httpx.AsyncClient(), httpx.AsyncClient()
    with unclosable(ASKED_FOR):
        with pytest.raises(OSError, match="injected") as caught:
            await first.aclose()
        await second.aclose()
    assert caught.value.errno == errno.EIO
    assert (first.is_closed, second.is_closed) == (True, True)


def test_nothing_is_changed_unasked_or_afterwards() -> None:
    close = httpx.AsyncClient.aclose
    with unclosable({}):
        assert httpx.AsyncClient.aclose is close
    with unclosable(ASKED_FOR):
        assert httpx.AsyncClient.aclose is not close
    assert httpx.AsyncClient.aclose is close


def test_the_variable_leaves_the_environment_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    assert taken_from_environment() == ASKED_FOR
    assert taken_from_environment() == {}
