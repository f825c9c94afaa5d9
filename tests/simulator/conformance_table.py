# ruff: noqa: ANN001, ANN002, ANN003, ANN202 - written as anybody would write them
"""The table of the loop conformance suite: small async functions whose results are compared between two loops.

A program returns a plain value or raises; ``result_of`` makes both comparable. ``each`` adds one program for each value
of a table. Waits are a few milliseconds at most: the programs run on a real loop too.
"""

import asyncio
import functools
import inspect
import re

PROGRAMS = {}

LONG_S = 0.02
"""Longer than what a busy machine needs for a few rounds of its loop."""


def program(function):
    """Add a program under its own name."""
    assert function.__name__ not in PROGRAMS, function.__name__
    PROGRAMS[function.__name__] = function
    return function


def each(*values, **named):
    """Add a program for each value: it is called with the value, or for keywords with all of the tuple."""

    def decorate(function):
        for value in values:
            PROGRAMS[re.sub(r" at 0x[0-9a-f]+", "", f"{function.__name__}[{value!r}]")] = functools.partial(
                function, value
            )
        for name, value in named.items():
            PROGRAMS[f"{function.__name__}[{name}]"] = functools.partial(function, value)
        return function

    return decorate


async def result_of(function):
    """``("returned", value)`` or ``("raised", type, text)``, without addresses."""
    try:
        value = function()
        if inspect.isawaitable(value):
            value = await value
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            raise
        if isinstance(error, BaseExceptionGroup):
            return "raised", type(error).__name__, sorted(type(each).__name__ for each in error.exceptions)
        text = re.sub(r"Sim(?=Task|Future)", "", str(error))
        return "raised", type(error).__name__, re.sub(r"0x[0-9a-f]+|\d{4,5}(?=\))|Task-\d+", "#", text)
    return "returned", value


async def attempt(function, *args, **kwargs):
    """What a call gives, as text: used where a program makes several."""
    kind, *rest = await result_of(lambda: function(*args, **kwargs))
    return f"{kind} {' '.join(map(str, rest))}"


async def served(handler, client):
    """Run ``client(reader, writer)`` against a server with ``handler``; gives what the client returned."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    reader, writer = await asyncio.open_connection(host, port)
    try:
        return await client(reader, writer)
    finally:
        writer.close()
        server.close()
        await asyncio.sleep(0.001)


async def settle(rounds=6):
    for _ in range(rounds):
        await asyncio.sleep(0)


async def value_after(value, rounds=1):
    await settle(rounds)
    return value


async def fail_after(kind, rounds=1):
    await settle(rounds)
    raise kind("failed")


async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()
    writer.close()


def says(data):
    async def handle(reader, writer):
        writer.write(data)
        writer.close()

    return handle


async def idle(reader, writer):
    await reader.read()
    writer.close()
