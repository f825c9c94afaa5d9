"""The simulated Signal Service keeps its connections: far fewer are made than requests sent."""

from collections import Counter

from hardening.catalogue.selection import simulated_scenarios
from hardening.runs.runner import spec_of
from hardening.runs.simulated import run_simulated
from hardening.worlds.spec import RunContext


def test_the_service_reuses_its_connections_to_redis_and_to_its_downstreams():
    scenario = simulated_scenarios(0)["redis-outage"]
    trace = run_simulated(scenario, spec_of(scenario, RunContext())).trace
    made = Counter(e.who.split(" ")[0] for e in trace.events if e.kind == "net" and e.text == "connected")
    sent = Counter(e.who.split(" ")[0] for e in trace.events if e.kind == "send" and b"HTTP/1.1" in e.text.encode())
    for name, requests in sent.items():
        if name.startswith("service->"):
            assert made[name] * 5 <= max(requests, 5), (name, made, sent)
