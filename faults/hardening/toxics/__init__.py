"""Toxics: state machines from bytes that arrive to bytes that go on later, changed, or not at all.

Nothing in this package opens a socket, reads a clock, draws from a global generator or imports asyncio. The TCP
proxy drives it in real time, the simulator in virtual time, a test by hand; the code that harms is the same.

**The link.** A driver makes one ``Link`` per connection and tells it what happens, with the time ``now`` in seconds
on a clock of its own that never goes back:

- ``Link(proxy, number, draws, specs, now)``: ``number`` counts connections from 1, ``draws`` is
  ``seeded_draws(seed)``, ``specs`` are the ``ToxicSpec`` there are now, in order.
- ``link.connect_plan(specs)``, once and before the upstream is dialled: wait ``delay_s``, or reset the client
  (``refused``) instead of dialling.
- ``link.feed(direction, bytes or End, now)`` when the source of a direction sent or ended. ``"upstream"`` runs from
  client to server. Returns what is due at once.
- ``link.next_at()``: when to call ``link.advance(now)`` (``math.inf``: only new bytes matter). A late call is
  harmless: inside, every byte keeps its nominal time.
- ``link.add(spec, now)``, ``link.update(name, now)`` (after changing the spec), ``link.remove(name, now)`` in
  mid-connection, each followed by ``link.advance(now)``.

``feed`` and ``advance`` return a list of ``(direction, bytes | End)`` to carry out in order: write the bytes to the
destination of that direction; ``End.CLOSE``: flush, then close both halves of the destination (whereupon the driver
feeds the opposite direction its ``End.CLOSE``); ``End.HALF_CLOSE``: flush, then end only this direction;
``End.RESET``: reset both sockets. ``link.held_bytes(direction) > link.window(direction)`` asks the driver to stop
reading until it is no longer so; ``link.read_bytes(direction, most)`` says how much to feed at once.

**The toxic.** ``Toxic(attributes, rng, tally, memory)`` serves one connection in one direction: ``begin(now)``,
``feed(data, now)``, ``close(end, now)`` return ``Timed(at, payload)``; a ``deadline`` asks for ``expire(now)``;
``update(attributes, now)`` and ``remove(now)`` come in mid-connection. Attributes are checked by
``Toxic.read_attributes`` (raises ``AttributeRefusedError``). To add one: write its file and
add the class to ``registry.py``.

**Draws.** Whether a connection is hit, jitter, cuts and losses come from a generator that depends only on the seed
and the key (proxy, connection number, direction, toxic name), so they repeat whatever else is going on.
"""

from hardening.toxics.base import (
    NEVER,
    Attribute,
    AttributeRefusedError,
    ConnectPlan,
    Draws,
    End,
    Key,
    Payload,
    Tally,
    Timed,
    Toxic,
    seeded_draws,
)
from hardening.toxics.chain import DIRECTIONS, OPPOSITE, Direction, Link, ToxicSpec
from hardening.toxics.registry import OWN_TYPES, TYPES

__all__ = [
    "DIRECTIONS",
    "NEVER",
    "OPPOSITE",
    "OWN_TYPES",
    "TYPES",
    "Attribute",
    "AttributeRefusedError",
    "ConnectPlan",
    "Direction",
    "Draws",
    "End",
    "Key",
    "Link",
    "Payload",
    "Tally",
    "Timed",
    "Toxic",
    "ToxicSpec",
    "seeded_draws",
]
