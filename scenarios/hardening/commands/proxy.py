"""``hardening proxy``: the Toxiproxy-compatible server; options in, the exit code of the server out."""

from __future__ import annotations

import sys

import click

from hardening.proxy.server import main as proxy_main


@click.command("proxy", short_help="a Toxiproxy-compatible server with more toxics and a seed")
@click.option("--port", type=click.IntRange(0, 65535), default=8474, show_default=True, help="Of the control API.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the control API listens.")
@click.option("--seed", type=click.IntRange(min=0), help="Makes toxicity, jitter and slicing repeat.")
@click.option("--config", help="toxiproxy.json; proxies in it may carry toxics.")
@click.option("--token-env", help="Variable that holds a bearer token to ask for.")
def proxy_command(port: int, host: str, seed: int | None, config: str | None, token_env: str | None) -> None:
    """Run the proxy until Ctrl-C. It speaks the HTTP API of Toxiproxy 2.12; every client of that works.

    \b
    Example:
      hardening proxy --port 8474 --seed 7
    """
    argv = ["--port", str(port), "--host", host]
    for name, value in (("--seed", seed), ("--config", config), ("--token-env", token_env)):
        argv += [name, str(value)] if value is not None else []
    sys.exit(proxy_main(argv))
