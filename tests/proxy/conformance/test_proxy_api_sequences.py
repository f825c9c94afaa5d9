"""Any sequence of API calls: ours and the real Toxiproxy, compared reply by reply.

What is set equal before comparing is what `docs/PROXY.md` lists: port numbers, the empty `Logger`, the words behind
`bad request body:`, `null` for no proxies, and the host of a proxy that named none.
"""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from proxy_driving import Reply, Server

pytestmark = pytest.mark.conformance

NAMES = st.sampled_from(["a", "b", "c"])
TOXIC_NAMES = st.sampled_from(["t", "u", "latency_downstream", "timeout_upstream"])
KINDS = st.sampled_from(["latency", "bandwidth", "slow_close", "timeout", "reset_peer", "limit_data", "noop", "nope"])
STREAMS = st.sampled_from(["upstream", "downstream", "UpStream", "", "sideways"])
UPSTREAMS = st.sampled_from(["127.0.0.1:9", "127.0.0.1:10", "localhost:9", ""])
ATTRIBUTE_NAMES = st.sampled_from(["latency", "jitter", "rate", "delay", "timeout", "bytes", "JITTER", "unknown"])
GOOD_VALUES = st.one_of(st.integers(0, 100_000), st.none())
BAD_VALUES = st.sampled_from(["x", True, 1.5, [], {}])
LISTENS = st.sampled_from(["127.0.0.1:0", "", "nonsense", "127.0.0.1:70000", "TAKEN", "CURRENT", "localhost:0"])
ATTRIBUTES = st.one_of(
    st.none(),
    st.dictionaries(ATTRIBUTE_NAMES, GOOD_VALUES, max_size=3),
    st.builds(lambda name, value: {name: value}, ATTRIBUTE_NAMES, BAD_VALUES),
    st.sampled_from([5, []]),
)
OPTIONAL = {"toxicity": st.one_of(st.sampled_from([0, 0.5, 1, 3])), "attributes": ATTRIBUTES}
METHODS = st.sampled_from(["POST", "PATCH"])


def plain(value: Any) -> Any:
    """A reply with what may differ set equal."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: plain(item) for key, item in value.items() if key != "Logger"}
    if isinstance(result.get("listen"), str) and re.search(r":[1-9]\d*$", result["listen"]):
        result["listen"] = re.sub(r"^\[::\]:", "127.0.0.1:", re.sub(r":\d+$", ":PORT", result["listen"]))
    if isinstance(result.get("error"), str):
        result["error"] = re.sub(r"^(bad request body): .*", r"\1", result["error"], flags=re.DOTALL)
    if "proxies" in result and result["proxies"] is None:
        result["proxies"] = []
    return result


class SameReplies(RuleBasedStateMachine):
    """Sends each request to both and wants the same reply."""

    servers: tuple[Server, Server]
    taken: str

    def __init__(self) -> None:
        super().__init__()
        for server in self.servers:
            server.clear()

    def both(self, method: str, path: str, body: Any) -> Reply:
        ours, theirs = [server.send(method, path, self._spelled(server, body)) for server in self.servers]
        assert (ours.status, plain(ours.json)) == (theirs.status, plain(theirs.json)), (method, path, body)
        return ours

    def _spelled(self, server: Server, body: Any) -> Any:
        """Placeholders for addresses that differ from server to server."""
        if isinstance(body, list):
            return [self._spelled(server, item) for item in body]
        if not isinstance(body, dict) or body.get("listen") not in {"TAKEN", "CURRENT"}:
            return body
        if body["listen"] == "TAKEN":
            return {**body, "listen": self.taken}
        current = server.send("GET", "/proxies").json.get(body["name"], {})
        return {**body, "listen": current.get("listen", "127.0.0.1:0")}

    @rule(
        name=NAMES,
        body=st.fixed_dictionaries({"upstream": UPSTREAMS, "listen": LISTENS}, optional={"enabled": st.booleans()}),
    )
    def create(self, name: str, body: dict[str, Any]) -> None:
        self.both("POST", "/proxies", {"name": name, **body})

    @rule(
        method=METHODS,
        name=NAMES,
        body=st.fixed_dictionaries({}, optional={"upstream": UPSTREAMS, "listen": LISTENS, "enabled": st.booleans()}),
    )
    def update(self, method: str, name: str, body: dict[str, Any]) -> None:
        self.both(method, f"/proxies/{name}", {"name": name, **body})

    @rule(method=st.sampled_from(["GET", "DELETE"]), name=NAMES)
    def show_or_delete(self, method: str, name: str) -> None:
        self.both(method, f"/proxies/{name}", None)

    @rule(
        entries=st.lists(
            st.fixed_dictionaries(
                {"name": st.one_of(NAMES, NAMES, st.just("")), "upstream": UPSTREAMS, "listen": LISTENS},
                optional={"enabled": st.booleans()},
            ),
            max_size=3,
        )
    )
    def populate(self, entries: list[dict[str, Any]]) -> None:
        self.both("POST", "/populate", entries)

    @rule(
        proxy=NAMES,
        body=st.fixed_dictionaries({"type": KINDS}, optional={"name": TOXIC_NAMES, "stream": STREAMS, **OPTIONAL}),
    )
    def add_toxic(self, proxy: str, body: dict[str, Any]) -> None:
        self.both("POST", f"/proxies/{proxy}/toxics", body)

    @rule(method=METHODS, proxy=NAMES, toxic=TOXIC_NAMES, body=st.fixed_dictionaries({}, optional=OPTIONAL))
    def update_toxic(self, method: str, proxy: str, toxic: str, body: dict[str, Any]) -> None:
        self.both(method, f"/proxies/{proxy}/toxics/{toxic}", body)

    @rule(method=st.sampled_from(["GET", "DELETE"]), proxy=NAMES, toxic=TOXIC_NAMES)
    def show_or_delete_toxic(self, method: str, proxy: str, toxic: str) -> None:
        self.both(method, f"/proxies/{proxy}/toxics/{toxic}", None)

    @rule(proxy=NAMES)
    def list_toxics(self, proxy: str) -> None:
        self.both("GET", f"/proxies/{proxy}/toxics", None)

    def _can_reset(self) -> bool:
        # With a proxy that cannot be bound the real one stops at a random place (it walks a map).
        proxies = self.servers[0].send("GET", "/proxies").json.values()
        return all(proxy["listen"] not in {"nonsense", "127.0.0.1:70000", self.taken} for proxy in proxies)

    @precondition(_can_reset)
    @rule()
    def reset(self) -> None:
        self.both("POST", "/reset", None)

    @invariant()
    def the_same_state(self) -> None:
        self.both("GET", "/proxies", None)


def test_any_sequence_of_calls_gets_the_same_replies_from_ours_and_the_real_one(embedded: Server, real: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:

        class Machine(SameReplies):
            servers = (embedded, real)

        Machine.taken = f"127.0.0.1:{taken.getsockname()[1]}"
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=50,
                stateful_step_count=20,
                deadline=None,
                # Each step costs several requests: the phase that explains a failure would run for minutes.
                phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )
