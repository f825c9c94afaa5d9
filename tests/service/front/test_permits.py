from __future__ import annotations

from front_world import Events
from hypothesis import given
from hypothesis import strategies as st

from signal_service.admission.limits import Permit, Permits

actions = st.lists(
    st.tuples(st.sampled_from(["main", "critical", "return", "twice"]), st.integers(0, 100)), max_size=120
)


@given(actions=actions, main=st.integers(1, 5), reserve=st.integers(1, 3))
def test_pools_stay_within_their_size_and_every_permit_comes_back_once(
    actions: list[tuple[str, int]], main: int, reserve: int
):
    events = Events()
    permits = Permits(main, reserve, events)
    held: list[Permit] = []
    for action, pick in actions:
        if action in {"main", "critical"}:
            permit = permits.take(critical=action == "critical")
            free = permits.in_flight("main") < main
            if permit is None:
                assert not free
            else:
                held.append(permit)
        elif held:
            permit = held.pop(pick % len(held))
            permit.give_back("ok")
            if action == "twice":
                permit.give_back("error")
        assert permits.in_flight("main") <= main
        assert permits.in_flight("critical") <= reserve
        assert permits.in_flight("main") + permits.in_flight("critical") == len(held)
    for permit in held:
        permit.give_back("cancelled")
    assert permits.in_flight("main") == permits.in_flight("critical") == 0
    assert len(events.named("permit_taken")) == len(events.named("permit_returned"))


def test_the_reserve_is_for_critical_requests_only():
    permits = Permits(1, 2, Events())
    assert permits.take(critical=False) is not None
    assert permits.take(critical=False) is None
    assert [permits.take(critical=True) is not None for _ in range(3)] == [True, True, False]


def test_shrinking_takes_nothing_away_from_who_holds_a_permit():
    permits = Permits(3, 1, Events())
    held = [permits.take(critical=False) for _ in range(3)]
    permits.resize(1, 1)
    assert permits.take(critical=False) is None
    for permit in held:
        assert permit is not None
        permit.give_back("ok")
    assert permits.take(critical=False) is not None
