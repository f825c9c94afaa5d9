"""Addresses as Toxiproxy writes them: ``host:port``, ``[host]:port``, ``:port``.

In: an address as text; out: its numeric form, or a listening socket. What cannot be read, resolved or bound is an
``AddressError`` whose message is what clients of the API read.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import socket

BACKLOG = 4096
FREE_PORT_ATTEMPTS = 20
_SERVICES = {"http": 80, "https": 443}  # for machines without /etc/services

Resolved = tuple[socket.AddressFamily, str, int]
"""Family, numeric host (``""``: all interfaces), port."""


class AddressError(ValueError):
    """An address that cannot be used; the message is what Toxiproxy's clients get to see."""


def split(address: str) -> tuple[str, int]:
    """``host`` and ``port`` of an address; the port is a number, the name of a service, or empty (0).

    Raises:
        AddressError: when there is no port, or none from 0 to 65535.
    """
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise AddressError(f"address {address}: missing port in address")
        port_text = rest[1:]
    else:
        host, colon, port_text = address.rpartition(":")
        if not colon:
            raise AddressError(f"address {address}: missing port in address")
        if ":" in host:
            raise AddressError(f"address {address}: too many colons in address")
    return host, _port(port_text)


def _port(text: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]+", text):
        number = int(text)
        if not 0 <= number <= 65535:
            raise AddressError(f"address {text}: invalid port")
        return number
    with contextlib.suppress(OSError):
        return socket.getservbyname(text.lower(), "tcp") if text else 0
    if text.lower() not in _SERVICES:
        raise AddressError(f"lookup tcp/{text}: unknown port")
    return _SERVICES[text.lower()]


def join(host: str, port: int) -> str:
    """The address as text; IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def resolve(address: str) -> Resolved:
    """Numeric form of a listening address. An empty one is a free port on loopback: nobody asked to be reachable.

    Raises:
        AddressError: when it cannot be read, or its host is unknown.
    """
    if not address:
        return socket.AF_INET, "127.0.0.1", 0
    host, port = split(address)
    family, host, port = await _look_up(host or "0.0.0.0", port)
    if ipaddress.ip_address(host).is_unspecified:
        # Either family's wildcard means every address of both, as it does in Toxiproxy.
        return (socket.AF_INET6 if socket.has_dualstack_ipv6() else family), "", port
    return family, host, port


async def _look_up(host: str, port: int) -> Resolved:
    with contextlib.suppress(ValueError):
        found_ip = ipaddress.ip_address(host if "%" not in host else "")  # a zone is left to the look-up
        if found_ip.version == 6 and found_ip.ipv4_mapped is not None:
            found_ip = found_ip.ipv4_mapped
        return (socket.AF_INET if found_ip.version == 4 else socket.AF_INET6), str(found_ip), port
    loop = asyncio.get_running_loop()
    try:
        if host.replace(".", "").isdigit():  # "127.1", which the C library would read and Toxiproxy does not
            raise OSError(host)
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise AddressError(f"lookup {host}: no such host") from error
    # IPv4 first: "localhost" should mean what most clients will dial.
    family, _, _, _, sockaddr = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, str(sockaddr[0]), port


async def resolve_upstream(address: str) -> Resolved:
    """Numeric form of an address to dial.

    Raises:
        AddressError: when it cannot be read, or its host is unknown.
    """
    host, port = split(address)
    return await _look_up(host or "127.0.0.1", port)


def written(resolved: Resolved) -> str:
    """A resolved address as text (``[::]`` for all interfaces)."""
    family, host, port = resolved
    return join(host or ("::" if family == socket.AF_INET6 else "0.0.0.0"), port)


def listen(resolved: Resolved) -> socket.socket:
    """A non-blocking listening socket.

    Raises:
        AddressError: with the operating system's reason.
    """
    family, host, port = resolved
    try:
        sock = _bound(family, host, port) if port else _bound_to_free_port(family, host)
        sock.listen(BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise AddressError(f"listen tcp {join(host, port)}: bind: {reason}") from error
    return sock


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if host else 0)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _bound_to_free_port(family: socket.AddressFamily, host: str) -> socket.socket:
    """Take a free port, then bind to it by number.

    Linux lets go of a port that it chose itself when the socket stops listening (``connect_refuse`` does that), but
    keeps one that was asked for.
    """
    for _ in range(FREE_PORT_ATTEMPTS):
        with _bound(family, host, 0) as chosen:
            port = chosen.getsockname()[1]
        with contextlib.suppress(OSError):
            return _bound(family, host, port)
    return _bound(family, host, 0)
