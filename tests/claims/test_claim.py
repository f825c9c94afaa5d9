"""What is common to all claims: crashes, gaps in the log, events and limits that a claim declares."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from judge_stories import SOUND
from judge_story import Story

import hardening.claims
from hardening.claims import claims
from hardening.claims.claim import Claim, claim
from hardening.claims.claims import CLAIMS
from hardening.claims.limits import LIMITS
from hardening.claims.verdict import Outcome, Verdict, passed
from hardening.history.events import History
from signal_service.config.settings import Settings


@claim("C1.1", "A title", premise="It always holds.", shown_by=("burst",), needs=("call",))
def judge_anything(history: History) -> Verdict:
    """Anything holds."""
    return passed(len(history.events))


def test_a_claim_takes_its_promise_from_the_docstring_and_its_component_from_its_id():
    assert (judge_anything.promise, judge_anything.component) == ("Anything holds.", "C1")


def test_a_judge_that_crashes_is_unknown_and_names_the_error():
    def crashes(history: History) -> Verdict:
        raise ZeroDivisionError("by nothing")

    verdict = dataclasses.replace(judge_anything, judge=crashes)(Story().history(), "any")
    assert (verdict.claim, verdict.outcome, verdict.history) == ("C1.1", Outcome.UNKNOWN, "any")
    assert "ZeroDivisionError" in verdict.reason


def test_a_pass_without_a_kind_of_event_that_the_claim_needs_is_unknown():
    story = Story()
    story.wait(1).breaker("closed", "open", open_s=60.0)
    verdict = judge_anything(story.history())
    assert (verdict.outcome, verdict.reason) == (Outcome.UNKNOWN, "no event of kind call")
    story.call("ticker", "ok")
    assert judge_anything(story.history()).outcome is Outcome.PASS


@pytest.mark.parametrize(("ident", "kind"), [(one.id, kind) for one in CLAIMS.values() for kind in one.needs])
def test_no_claim_passes_without_an_event_that_it_needs(ident: str, kind: str):
    sound = SOUND[ident]().history()
    assert sound.has(kind)
    rest = [event for event in sound.events if kind not in {event.type, event.f}]
    assert CLAIMS[ident](History(sound.header, rest)).outcome is not Outcome.PASS


def test_every_claim_in_the_folder_is_collected():
    folder = Path(hardening.claims.__path__[0])
    assert {path.stem for path in folder.glob("c[0-9]_*.py")} == {
        module.__name__.rpartition(".")[2] for module in claims.MODULES
    }
    found = [one for module in claims.MODULES for one in vars(module).values() if isinstance(one, Claim)]
    assert len(found) == len(CLAIMS)
    for one in found:
        assert one.judge.__module__.startswith(f"hardening.claims.{one.component.lower()}_")


def dotted(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, node in tree.items():
        if isinstance(node, Mapping):
            yield from dotted(node, f"{path}{name}.")
        else:
            yield path + name, node


def test_the_default_limits_are_those_of_the_service():
    service = dict(dotted(Settings().model_dump()))
    ours = {name: value for name, value in dotted(LIMITS) if name != "recovery.extra_s"}
    assert ours == {name: service[name] for name in ours}


class Reads(Mapping[str, Any]):
    """Settings that note the names of the limits that are looked up in them."""

    def __init__(self, settings: Mapping[str, Any], seen: set[str], path: str = "") -> None:
        self.settings, self.seen, self.path = settings, seen, path

    def __getitem__(self, name: str) -> Any:
        path = f"{self.path}{name}"
        self.seen.discard(self.path[:-1])
        self.seen.add(path)
        found = self.settings.get(name, {})
        return Reads(found, self.seen, f"{path}.") if isinstance(found, Mapping) else found

    def __len__(self) -> int:
        return len(self.settings)

    def __iter__(self) -> Iterator[str]:
        return iter(self.settings)


@pytest.mark.parametrize("ident", list(CLAIMS))
def test_a_claim_declares_the_limits_that_its_judge_reads(ident: str):
    seen: set[str] = set()
    for make in SOUND.values():
        story = make().history()
        CLAIMS[ident](
            History(dataclasses.replace(story.header, settings=Reads(story.header.settings, seen)), story.events)
        )
    declared = CLAIMS[ident].limits
    assert {one for one in seen if not one.startswith(declared)} == set()
    assert [one for one in declared if not any(name.startswith(one) for name, _ in dotted(LIMITS))] == []
