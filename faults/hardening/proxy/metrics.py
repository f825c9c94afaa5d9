"""Counts in Prometheus' text format; names and labels of the byte counts are Toxiproxy's.

Written by hand: a handful of lines, and the proxy's memory is part of its promise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hardening.proxy.proxy import Proxy


def exposition(proxies: Iterable[Proxy]) -> str:
    """All counts of all proxies."""
    known = list(proxies)
    lines: list[str] = []
    for name, kind, text, samples in (
        ("proxy_received_bytes_total", "counter", "Bytes read from the source of a direction.", _bytes(known, 0)),
        ("proxy_sent_bytes_total", "counter", "Bytes written to the destination of a direction.", _bytes(known, 1)),
        ("proxy_connections_total", "counter", "Connections by what became of them.", _connections(known)),
        ("proxy_open_connections", "gauge", "Connections that are live now.", _open(known)),
        ("toxic_effects_total", "counter", "What toxics did, by effect.", _effects(known)),
    ):
        lines += [f"# HELP toxiproxy_{name} {text}", f"# TYPE toxiproxy_{name} {kind}"]
        lines += [
            f"toxiproxy_{name}{_labels(labels)} {amount:g}"
            if amount < 1e6
            else f"toxiproxy_{name}{_labels(labels)} {int(amount)}"
            for labels, amount in samples
        ]
    return "\n".join(lines) + "\n"


Samples = Iterator[tuple[dict[str, str], float]]


def _bytes(proxies: list[Proxy], which: int) -> Samples:
    for proxy in proxies:
        for direction, amounts in proxy.passed().items():
            yield (
                {
                    "direction": direction,
                    "listener": proxy.listen,
                    "proxy": proxy.name,
                    "upstream": proxy.upstream,
                },
                amounts[which],
            )


def _connections(proxies: list[Proxy]) -> Samples:
    for proxy in proxies:
        for outcome, amount in {"connections": 0.0, **proxy.counts}.items():
            yield {"proxy": proxy.name, "outcome": "accepted" if outcome == "connections" else outcome}, amount


def _open(proxies: list[Proxy]) -> Samples:
    for proxy in proxies:
        yield {"proxy": proxy.name}, proxy.open_connections


def _effects(proxies: list[Proxy]) -> Samples:
    for proxy in proxies:
        for toxic, kind, stream, effect, amount in proxy.effects():
            yield {"proxy": proxy.name, "toxic": toxic, "type": kind, "stream": stream, "effect": effect}, amount


def _labels(labels: dict[str, str]) -> str:
    escaped = (
        (name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, value in labels.items()
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"
