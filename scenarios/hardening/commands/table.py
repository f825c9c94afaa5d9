"""Every command of ``hardening``: its name, its file, and what ``--help`` says of it and where.

A command is a file of this folder and a row here. The file is imported when the command is asked for, so that
``hardening gate`` waits for no simulator.
"""

from __future__ import annotations

from typing import NamedTuple

PROVE = "Prove a service"
TRUST = "Trust a certificate"
LIVE = "Go live"
BREAK = "Break it and learn why"
TOOLS = "Tools on their own"


class Row(NamedTuple):
    """One command: its name, its module in ``hardening.commands``, its section of the help, its purpose in a line."""

    name: str
    module: str
    section: str
    purpose: str


TABLE = (
    Row("certify", "certify", PROVE, "run the scenarios, judge, write the certificate"),
    Row("load", "load", PROVE, "Locust holds the service to its budgets"),
    Row("verify", "verify", TRUST, "judge a stored certificate's histories again, check every byte"),
    Row("gate", "gate", TRUST, "let a deployment through, or not, by its certificate"),
    Row("report", "report", TRUST, "render a certificate's page again"),
    Row("keygen", "verify", TRUST, "an Ed25519 key for certify --sign-key and verify --key"),
    Row("preflight", "serve", LIVE, "refuse a misconfigured deployment"),
    Row("serve", "serve", LIVE, "the Signal Service on embedded defaults, until Ctrl-C"),
    Row("chaos", "chaos", BREAK, "faults under load, watched, healed, judged and kept as a session"),
    Row("replay", "session", BREAK, "run a session again: exactly, or k of N times"),
    Row("shrink", "session", BREAK, "the smallest session that still fails"),
    Row("session", "session", BREAK, "list, show and compare sessions; keep failures as regression tests"),
    Row("export", "export", BREAK, "a session for the Chaos Toolkit or Chaos Mesh"),
    Row("faults", "faults", TOOLS, "list, describe and inject faults; clean up after killed runs"),
    Row("proxy", "proxy", TOOLS, "a Toxiproxy-compatible server with more toxics and a seed"),
    Row("explore", "explore", TOOLS, "search an asyncio program for a failing schedule"),
    Row("completion", "completion", TOOLS, "commands and options completed by bash, zsh or fish"),
)
"""In the order in which ``--help`` shows them."""
