"""C2.5: a slope of memory is found whatever the noise, and none is found where there is none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from judge_story import Story, judged

from hardening.claims.trend import trend
from hardening.claims.verdict import Outcome

MB = 1024 * 1024


SAMPLES = 60


Shape = Callable[[float], float]


def noisy(seed: int, likeness: float, size: float) -> Iterator[float]:
    """Noise in which each sample resembles the one before."""
    rng, last = random.Random(seed), 0.0
    while True:
        last = likeness * last + rng.gauss(0, size)
        yield last


def soak(shape: Shape, *, seed: int = 0, likeness: float = 0.8, size: float = 0.2, keys: int = 100_000) -> Story:
    """A soak whose RSS follows ``shape`` (MB over the share of the soak that has passed), with noise."""
    story, noise = Story(), noisy(seed, likeness, size)
    story.probe("soak", phase="begin")
    for number in range(SAMPLES):
        story.wait(0.5)
        rss_mb = 90 + shape(number / SAMPLES) + next(noise)
        story.say("sample", process="harness", rss_bytes=int(rss_mb * MB), cpu_share=0.5, fds=40)
    story.wait(0.1)
    story.probe("soak", phase="end", distinct_keys=keys, metrics_scrapes=500)
    return story


SOUND: dict[str, Shape] = {
    "flat": lambda x: 0.0,
    "a small leap": lambda x: 2.0 * (x > 0.4),
    "leaps up and down": lambda x: 2.0 * (int(x * 10) % 2),
    "an allocator that settles": lambda x: 2.5 * (1 - 0.01**x),
    "slightly down": lambda x: -8.0 * x,
}


@pytest.mark.parametrize("shape", SOUND.values(), ids=SOUND)
def test_a_sound_soak_never_fails_and_nearly_always_passes(shape: Shape):
    found = [judged("C2.5", soak(shape, seed=seed)).outcome for seed in range(200)]
    assert found.count(Outcome.FAIL) == 0
    assert found.count(Outcome.PASS) >= 195


LEAKS: dict[str, Shape] = {
    "a hundred bytes a key": lambda x: 10.0 * x,
    "a kilobyte a key": lambda x: 100.0 * x,
    "in steps of a megabyte": lambda x: float(int(10 * x)),
    "ever faster": lambda x: 20.0 * (x + x * x),
    "slower while the machine was busy": lambda x: 20.0 * (x if x < 0.5 else 0.5 + (x - 0.5) * 0.5),
}


@pytest.mark.parametrize("shape", LEAKS.values(), ids=LEAKS)
def test_a_leak_always_fails(shape: Shape):
    assert {judged("C2.5", soak(shape, seed=seed)).outcome for seed in range(200)} == {Outcome.FAIL}


LOUD = [(shape, name, size) for name, shape in LEAKS.items() for size in (1.0, 3.0) if shape(1.0) >= 10 * size]


@pytest.mark.parametrize(
    ("shape", "size"), [(shape, size) for shape, _, size in LOUD], ids=[f"{n} {s}" for _, n, s in LOUD]
)
def test_a_leak_in_loud_noise_is_never_passed(shape: Shape, size: float):
    assert Outcome.PASS not in {judged("C2.5", soak(shape, seed=seed, size=size)).outcome for seed in range(100)}


def test_a_leak_at_the_edge_is_never_passed():
    found = [judged("C2.5", soak(lambda x: 6.5 * x, seed=seed)).outcome for seed in range(200)]
    assert found.count(Outcome.PASS) == 0
    assert found.count(Outcome.FAIL) >= 150


@pytest.mark.parametrize("likeness", [0.0, 0.5, 0.9])
def test_noise_alone_never_fails_however_alike_its_neighbours_are(likeness: float):
    found = [judged("C2.5", soak(SOUND["flat"], seed=seed, likeness=likeness, size=1.0)).outcome for seed in range(200)]
    assert found.count(Outcome.FAIL) == 0


def test_one_large_leap_is_neither_a_slope_nor_overlooked():
    assert {judged("C2.5", soak(lambda x: 20.0 * (x > 0.6), seed=seed)).outcome for seed in range(50)} == {
        Outcome.UNKNOWN
    }


def test_a_leak_fails_even_when_the_soak_was_cut_short():
    assert judged("C2.5", soak(LEAKS["a kilobyte a key"], keys=40_000)).outcome is Outcome.FAIL


def test_too_few_keys_are_no_soak():
    assert judged("C2.5", soak(SOUND["flat"], keys=99_999)).outcome is Outcome.UNKNOWN


def test_a_service_that_ended_in_the_soak_failed_it():
    story = soak(SOUND["flat"])
    story.now -= 5.0
    story.process("exited", exit_code=-9)
    assert judged("C2.5", story).outcome is Outcome.FAIL


def test_memory_above_the_budget_fails_in_the_warm_up_too():
    story = Story()
    story.say("sample", process="harness", rss_bytes=600 * MB, cpu_share=0.5, fds=40)
    story.wait(1.0)
    story.probe("soak", phase="begin")
    story.probe("soak", phase="end", distinct_keys=100_000, metrics_scrapes=1)
    assert judged("C2.5", story).outcome is Outcome.FAIL


def test_the_interval_covers_the_true_rise_as_often_as_it_says():
    covered = 0
    for seed in range(400):
        noise = noisy(seed, 0.6, 1.0)
        found = trend([(n * 0.5, 3.0 * n / 59 + next(noise)) for n in range(SAMPLES)])
        covered += found.least <= 3.0 <= found.most
    assert covered >= 380
