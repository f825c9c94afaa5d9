# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""Searching: corpus, shards, recordings, stories, and replays in another process."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.simulator import Corpus, explore, io, replay
from hardening.simulator.core.plan import PlanError
from hardening.simulator.search.counterexample import Recording, merge
from hardening.simulator.search.search import Shard

HERE = Path(__file__).parent


async def racy():
    """Fails when the second is slow by more than the first."""
    order = []

    async def one(name, low, high):
        await io(low, high)
        order.append(name)

    await asyncio.gather(
        asyncio.create_task(one("a", 0.0, 1.0), name="a"), asyncio.create_task(one("b", 0.1, 1.0), name="b")
    )
    assert order == ["a", "b"]


async def sound():
    await io(0.0, 1.0)


def test_the_same_seed_finds_the_same_plan():
    one, other = (explore(racy, seed=5).counterexample for _ in range(2))
    assert one.plan == other.plan
    assert one.run == other.run
    assert len(one.plan) == 1


def test_nothing_found_gives_the_counts():
    report = explore(sound, runs=50, seed=1)
    assert (report.runs, report.found) == (50, False)
    assert report.steps > 50
    assert report.virtual_s > 0


def test_a_corpus_is_tried_first(tmp_path):
    corpus = Corpus(tmp_path / "corpus")
    first = explore(racy, seed=5, corpus=corpus)
    again = explore(racy, seed=99, corpus=corpus)
    assert not first.from_corpus
    assert again.from_corpus
    assert again.counterexample.plan.decisions == first.counterexample.plan.decisions
    assert len(corpus.plans("racy")) == 1


def test_a_broken_line_in_a_corpus_is_passed_over(tmp_path):
    corpus = Corpus(tmp_path)
    explore(racy, seed=5, corpus=corpus)
    (path,) = tmp_path.iterdir()
    path.write_text("{broken\n" + path.read_text())
    assert len(corpus.plans("racy")) == 1


def test_shards_split_the_numbers_and_merge_to_what_one_search_finds():
    whole = explore(racy, seed=8, runs=60)
    parts = [explore(racy, seed=8, runs=60, shard=f"{i}/3").to_json() for i in (1, 2, 3)]
    merged = merge(parts)
    assert merged["counterexample"]["run"] == whole.counterexample.run
    assert merged["counterexample"]["plan"] == whole.counterexample.plan.to_json()
    assert sorted(number for i in (1, 2, 3) for number in Shard(i, 3).numbers(10)) == list(range(10))
    assert merge(explore(sound, seed=8, runs=60, shard=f"{i}/3").to_json() for i in (1, 2, 3))["runs"] == 60
    with pytest.raises(PlanError):
        merge([parts[0], explore(racy, seed=9, runs=5).to_json()])


def test_a_story_tells_the_decisions_with_their_places():
    story = explore(racy, seed=5).counterexample.story()
    assert "AssertionError" in story
    assert "It takes 1 decision" in story
    assert "test_exploring.py" in story


def test_raise_if_found_raises_the_programs_own_exception_with_the_story():
    with pytest.raises(AssertionError) as error:
        explore(racy, seed=5).raise_if_found()
    assert any("It takes" in note for note in error.value.__notes__)


def test_a_replay_in_another_process_and_hash_seed_has_the_same_trace():
    found = explore(racy, seed=5).counterexample
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_exploring import racy\nfrom hardening.simulator import replay\n"
        "done = replay(racy, sys.argv[2]); print(done.same_trace, type(done.exception).__name__)"
    )
    for hash_seed in ("1", "77"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(HERE), str(found.plan)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=HERE.parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["True", "AssertionError"]


def test_a_replay_of_a_changed_program_says_where_the_trace_parts(tmp_path):
    found = explore(racy, seed=5).counterexample
    path = tmp_path / "recording.json"
    found.recording().save(path)
    recording = Recording.load(path)
    assert replay(racy, recording).same_trace

    async def changed():
        await asyncio.sleep(0.5)
        await racy()

    again = replay(changed, recording)
    assert again.same_trace is False
    assert again.difference.startswith("line ")
    data = json.loads(path.read_text())
    data["trace"][0] = "something else"
    path.write_text(json.dumps(data))
    with pytest.raises(PlanError):
        Recording.load(path)


def test_replay_of_the_text_of_a_plan_fails_alike():
    found = explore(racy, seed=5).counterexample
    for _ in range(20):
        again = replay(racy, str(found.plan))
        assert again.failed
        assert again.same_trace
        assert again.difference == ""


@pytest.mark.asyncio
async def test_an_exploration_inside_a_running_loop_leaves_it_as_it_was():
    loop = asyncio.get_running_loop()
    found = explore(racy, seed=5).counterexample
    assert found is not None
    assert asyncio.get_running_loop() is loop
    await asyncio.sleep(0)
    assert asyncio.current_task() is not None
