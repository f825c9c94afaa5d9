"""The claims as data, in the table's order: what is promised, under which fault, and what must have occurred."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

COMPONENTS: Mapping[str, str] = MappingProxyType(
    {
        "C1": "Client factory and circuit breakers",
        "C2": "Budget guards and backpressure",
        "C3": "Start-up resilience",
        "C4": "Security logging",
        "C5": "Cache concurrency",
        "C6": "Rare failures",
        "C7": "Deployment validation",
    }
)


@dataclass(frozen=True, slots=True)
class Claim:
    """One promise about behaviour under a fault.

    Attributes:
        id: such as ``C2.1``.
        component: such as ``C2``.
        title: a few words.
        promise: what holds, under which fault.
        premise: what must have occurred in a history for the claim to have been exercised.
        figures: dotted names in ``FIGURES`` that the judge reads.
    """

    id: str
    component: str
    title: str
    promise: str
    premise: str
    figures: tuple[str, ...] = ()


TABLE: tuple[Claim, ...] = (
    Claim(
        "C1.1",
        "C1",
        "Own breakers, sane settings",
        "Each downstream has a breaker with its own settings; nonsense is refused at start and reload, by field.",
        "Nonsense was tried for each of the four breakers, at start and at reload.",
        ("downstreams",),
    ),
    Claim(
        "C1.2",
        "C1",
        "Legal transitions, one probe",
        "Open lets no call through; half open lets exactly one through; a hung or cancelled probe returns its lease.",
        "A breaker opened, became half open, and let a probe through.",
        ("downstreams",),
    ),
    Claim(
        "C1.3",
        "C1",
        "Neutral calls",
        "Cancelled and shed calls count neither as success nor failure; late answers change nothing.",
        "A call or probe was cancelled at a moment when counting it would have moved the breaker.",
        ("downstreams",),
    ),
    Claim(
        "C1.4",
        "C1",
        "Outages stay apart",
        "One downstream's outage opens no other breaker and slows no request that does not need it.",
        "A breaker opened under a fault while ten requests that did not need it ran, and ten in steady state.",
    ),
    Claim(
        "C1.5",
        "C1",
        "Bounded retries",
        "Attempts stay within calls x (1 + retries) and the retry budget: jitter, keys on POST, none after a 4xx.",
        "A call was retried and its waits were recorded.",
        ("retry", "downstreams"),
    ),
    Claim(
        "C1.6",
        "C1",
        "Clients made and closed once",
        "Each client is built and closed once, even when one fails to close; no socket, task or slot is left behind.",
        "The service ended by itself after cancelled or timed-out requests, one client failed to close; we looked.",
    ),
    Claim(
        "C1.7",
        "C1",
        "A broken client is alone",
        "A client that cannot be built, or a name that does not resolve, leaves the others working.",
        "A client could not be built or a name did not resolve, while other calls were made.",
    ),
    Claim(
        "C2.1",
        "C2",
        "Permits",
        "Never more in flight than the limit beside the reserve; each permit comes back exactly once, however it ends.",
        "The limit was reached, or a request ended by error, timeout, cancellation or disconnect.",
        ("budgets.in_flight", "budgets.critical_reserve"),
    ),
    Claim(
        "C2.2",
        "C2",
        "Exact rate window",
        "Never more accepted in a sliding window than the limit, no fewer than offered, and a true Retry-After.",
        "Somebody was refused with 429.",
        ("budgets.accepted_per_window", "budgets.window_s"),
    ),
    Claim(
        "C2.3",
        "C2",
        "Levels and shedding",
        "Levels follow utilisation with hysteresis; each sheds whom it must, at no cost, and critical ones are served.",
        "A level was entered and left, requests were shed, and critical ones asked meanwhile.",
        ("levels",),
    ),
    Claim(
        "C2.4",
        "C2",
        "Deadlines",
        "No request outlives its time: it ends in 504, gives back what it held, and its downstream calls end too.",
        "A request reached its deadline.",
        ("budgets.request_s",),
    ),
    Claim(
        "C2.5",
        "C2",
        "Memory",
        "RSS stays under budget through a soak with a metrics flood and 100,000 keys, without an upward slope.",
        "The soak ran to its end and was sampled after warm-up.",
        ("budgets.memory_mb",),
    ),
    Claim(
        "C2.6",
        "C2",
        "Honest metrics",
        "Level changes, sheds, rejections and breaker changes are counted and agree with what clients saw.",
        "The metrics were scraped after sheds or rejections, a level change and a breaker change.",
    ),
    Claim(
        "C2.7",
        "C2",
        "Slow and many clients",
        "Slow or half-sent requests and floods take no permit and are cut; running out of descriptors is survived.",
        "Slow heads, slow bodies, a flood and exhausted descriptors were tried while others asked.",
        ("clients",),
    ),
    Claim(
        "C3.1",
        "C3",
        "Critical dependencies",
        "Without Redis, ticker or user in time the start fails with a line that names it; it never serves before.",
        "Each of the three was absent once and late once.",
        ("startup",),
    ),
    Claim(
        "C3.2",
        "C3",
        "Optional dependencies",
        "Without alert or comms the service starts degraded, says so, and recovers without a restart.",
        "Each of the two was absent at start and came up later.",
    ),
    Claim(
        "C3.3",
        "C3",
        "Bounded attempts",
        "Attempts are bounded and jittered, a hanging dependency costs its timeout, SIGTERM ends the start at once.",
        "Start-up attempts were repeated, one dependency hung, and one start was ended by SIGTERM.",
        ("startup",),
    ),
    Claim(
        "C4.1",
        "C4",
        "No secret shows",
        "No planted secret appears in any log, answer, metric or report, encoded, truncated or split.",
        "Secrets were planted, and what was logged and answered was recorded.",
    ),
    Claim(
        "C4.2",
        "C4",
        "Market data untouched",
        "Candles, prices, ids, digests and timestamps are left as they are.",
        "Each harmless text of the header was written somewhere on purpose.",
    ),
    Claim(
        "C4.3",
        "C4",
        "Linear redaction",
        "A hostile line of 1 MB stalls the loop no longer than its lag budget.",
        "A hostile line of at least 1 MB was logged and the lag measured.",
        ("budgets.loop_lag_ms",),
    ),
    Claim(
        "C4.4",
        "C4",
        "Audit chain",
        "Each security event is one structured, hash-chained record; removed and altered ones are found.",
        "Security events occurred, the chain was checked, and a removed and an altered record were looked for.",
    ),
    Claim(
        "C4.5",
        "C4",
        "Keys and scopes",
        "No route but the public ones without a valid key of its scope; nobody sees another user's data.",
        "Requests with bad keys were made, and at least two users were answered.",
    ),
    Claim(
        "C4.6",
        "C4",
        "Full disk, blocked log",
        "Neither blocks a request; lost audit records are counted, and admin changes are refused meanwhile.",
        "A disk was full or a log blocked while requests and an admin change were made.",
    ),
    Claim(
        "C5.1",
        "C5",
        "One load",
        "Concurrent callers of one key cause one load; a cancelled caller harms nobody.",
        "Callers shared a load and one of them was cancelled.",
    ),
    Claim(
        "C5.2",
        "C5",
        "Full TTL, newest write",
        "Each write sets the full TTL; a slow load overwrites neither a newer write nor an invalidation.",
        "A key was written again, and a slow load met a newer write or an invalidation.",
        ("cache.ttl_s",),
    ),
    Claim(
        "C5.3",
        "C5",
        "Lock table",
        "No more locks than calls in flight, none at the end; invalidation never lets two loads run.",
        "The lock table was in use and a key was invalidated.",
    ),
    Claim(
        "C5.4",
        "C5",
        "Bad entries",
        "A corrupt, truncated, old or foreign entry is a counted miss, deleted, never served or raised.",
        "A bad entry was met.",
    ),
    Claim(
        "C5.5",
        "C5",
        "Life without Redis",
        "Without Redis the in-process copy answers, marked, or it fails fast; Redis is used again when back.",
        "Redis was lost while requests were made, and came back.",
        ("cache.ttl_s", "cache.stale_s"),
    ),
    Claim(
        "C5.6",
        "C5",
        "Wall clock jumps",
        "A jump of the wall clock moves no expiry, breaker, rate window or deadline.",
        "The wall clock was moved while the cache was in use.",
        ("cache.ttl_s",),
    ),
    Claim(
        "C6.1",
        "C6",
        "Orderly end",
        "SIGTERM: readiness false, in-flight requests ended, clients closed, exit 0; a second signal corrupts nothing.",
        "The service was ended by a signal, and by a second one, with requests in flight and readiness asked.",
        ("drain",),
    ),
    Claim(
        "C6.2",
        "C6",
        "No alert lost",
        "An accepted alert is delivered, once in effect, whatever is killed; none is invented; dead ones are counted.",
        "Alerts were accepted and the service or the store was killed before all were delivered.",
    ),
    Claim(
        "C6.3",
        "C6",
        "Atomic reload",
        "Each request sees one configuration; a refused reload changes nothing and is audited; rollback works.",
        "Reloads were applied, refused and rolled back.",
    ),
    Claim(
        "C6.4",
        "C6",
        "Recovery",
        "After the last heal the steady state is back within its bound, without a restart.",
        "A fault bit and was healed, and requests ran before it and after the bound.",
        ("recovery", "downstreams"),
    ),
    Claim(
        "C6.5",
        "C6",
        "Idempotency, bounded outbox",
        "A key with the same body gives the first answer, with another a 422; a full outbox says 503.",
        "A key was used again with the same and with another body, and the outbox was full once.",
        ("outbox.capacity",),
    ),
    Claim(
        "C7.1",
        "C7",
        "The gate",
        "The workflow's gate exits 0, 1 and 3 on a passing, a failing and an unknown certificate.",
        "The gate was run on all three.",
    ),
    Claim(
        "C7.2",
        "C7",
        "Preflight",
        "A misconfigured deployment is refused, one line for each fault.",
        "Each kind of misconfiguration and a sound one were tried.",
    ),
    Claim(
        "C7.3",
        "C7",
        "Verification",
        "A certificate verifies by re-judging; after any digested byte changed it does not.",
        "An intact one, ones with a byte altered, and one edited with its digests made anew were verified.",
    ),
)
