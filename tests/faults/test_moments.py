"""A signal at a chosen moment: the service's own events say when it has come; one that does not come sends nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from hardening.faults.base import FaultError, UnsupportedTargetError
from hardening.faults.process_signals import ProcessSignal
from hardening.faults.schedule import Injection
from hardening.worlds.shared.service_target import ServiceTarget


class Service:
    """What the target needs of a service's process; it logs a given event when it is signalled."""

    def __init__(self, answers: dict[int, dict[str, Any]] | None = None) -> None:
        self.on_event: list[Callable[[str, Mapping[str, Any]], None]] = []
        self.signals: list[int] = []
        self.answers = answers or {}
        self.starts = 0
        self.up = True

    def log(self, event: str, **fields: Any) -> None:
        for look in self.on_event:
            look(event, fields)

    async def signal(self, number: int) -> None:
        self.signals.append(number)
        if number in self.answers:
            asyncio.get_running_loop().call_soon(lambda: self.log(**self.answers[number]))

    def running(self) -> bool:
        if self.signals.count(signal.SIGTERM) + self.signals.count(signal.SIGKILL) and self.starts == 0:
            self.up = False
        return self.up

    def stopped(self) -> bool:
        return False

    async def start(self) -> None:
        self.starts += 1
        self.up = True


class WithoutMoments:
    """A process of which nobody knows what it is doing."""

    async def alive(self) -> bool:
        return True

    async def stopped(self) -> bool:
        return False

    async def start(self) -> None:
        raise AssertionError("nothing ended it")

    async def signal(self, number: int) -> None:
        raise AssertionError(f"signal {number} was sent at no moment")


class World:
    def __init__(self, target: object) -> None:
        self._target = target

    def target(self, protocol: str, name: str) -> object:
        assert (protocol, name) == ("process", "service")
        return self._target


def target_of(service: Service) -> ServiceTarget:
    return ServiceTarget(service)  # type: ignore[arg-type]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("moment", "event"),
    [
        ("before_first_byte", {"event": "admitted", "route": "signals"}),
        ("mid_request", {"event": "attempt", "name": "ticker"}),
    ],
)
async def test_the_signal_waits_for_its_moment(moment: str, event: dict[str, Any]) -> None:
    service = Service()
    target = target_of(service)
    fault = ProcessSignal(signal="HUP", moment=moment)
    task = asyncio.create_task(fault.inject(target))
    await asyncio.sleep(0)
    service.log("request_done", status=200)
    await asyncio.sleep(0)
    assert service.signals == []
    service.log(**event)
    assert await task == 1
    assert service.signals == [signal.SIGHUP]


@pytest.mark.asyncio
async def test_a_moment_that_does_not_come_sends_nothing_and_says_so() -> None:
    service = Service()
    injection = Injection(ProcessSignal(signal="KILL", moment="in_drain", deadline_ms=10), World(target_of(service)))
    async with injection:
        pass
    assert service.signals == []
    assert service.starts == 0
    assert injection.effect is not None
    assert not injection.effect.effective


@pytest.mark.asyncio
async def test_a_second_signal_follows_when_the_drain_has_begun() -> None:
    service = Service({signal.SIGTERM: {"event": "drain", "phase": "begin"}})
    target = target_of(service)
    fault = ProcessSignal(signal="HUP", second="INT", deadline_ms=1000)
    task = asyncio.create_task(fault.inject(target))
    await asyncio.sleep(0)
    service.log("drain", phase="begin")
    assert await task == 2
    assert service.signals == [signal.SIGHUP, signal.SIGINT]


@pytest.mark.asyncio
async def test_mid_reload_brings_the_reload_about() -> None:
    service = Service()
    assert await ProcessSignal(signal="STOP", moment="mid_reload").inject(target_of(service)) == 1
    assert service.signals == [signal.SIGHUP, signal.SIGSTOP]


@pytest.mark.asyncio
async def test_an_ended_service_is_started_once_it_has_ended() -> None:
    service = Service()
    injection = Injection(ProcessSignal(signal="TERM"), World(target_of(service)))
    async with injection:
        pass
    assert service.starts == 1


@pytest.mark.asyncio
async def test_a_process_without_moments_takes_only_immediate_signals() -> None:
    with pytest.raises(UnsupportedTargetError, match=r"fault\.moment is 'mid_request'"):
        await ProcessSignal(moment="mid_request").inject(WithoutMoments())


@pytest.mark.parametrize("field", ["signal", "moment", "second"])
def test_an_unknown_word_is_refused_by_its_field(field: str) -> None:
    with pytest.raises(FaultError, match=rf"fault\.{field} is 'soon'"):
        ProcessSignal.from_json({"kind": "process_signal", field: "soon"})


def test_events_go_on_to_those_who_listened_before() -> None:
    heard: list[str] = []
    service = Service()
    service.on_event.append(lambda event, _fields: heard.append(event))
    target_of(service)
    service.log("admitted")
    assert heard == ["admitted"]
