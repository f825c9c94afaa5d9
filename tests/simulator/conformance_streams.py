# ruff: noqa: ANN001, ANN002, ANN202 - written as anybody would write them
"""Conformance: streams: reading and writing."""

import asyncio

from conformance_table import LONG_S, attempt, each, echo, idle, program, says, served

loop_ = asyncio.get_running_loop


# --- reading


@each(-1, 0, 1, 5, 100, None, "x", 1.5, True)
async def read_of(count):
    return await served(says(b"hello"), lambda r, w: attempt(_late, r.read, count))


async def _late(read, *args):
    await asyncio.sleep(0.003)
    return await read(*args)


@each(0, 1, 5, 6, -1)
async def readexactly_of(count):
    return await served(says(b"hello"), lambda r, w: attempt(r.readexactly, count))


@each(b"\n", b"l", b"xyz", b"", b"lo", (b"e", b"l"))
async def readuntil_of(separator):
    return await served(says(b"hello\nworld"), lambda r, w: attempt(r.readuntil, separator))


@program
async def readline_until_the_end():
    return await served(says(b"a\nb\nlast"), lambda r, w: _lines(r))


async def _lines(reader):
    lines = []
    while line := await reader.readline():
        lines.append(line)
    return lines, reader.at_eof()


@program
async def a_reader_is_iterated_by_lines():
    async def client(reader, writer):
        return [line async for line in reader]

    return await served(says(b"a\nb\n"), client)


@each(0, 5, 10)
async def a_line_longer_than_the_limit_of(limit):
    async def run():
        reader = asyncio.StreamReader(limit=limit)
        reader.feed_data(b"0123456789\n")
        reader.feed_eof()
        return await reader.readline()

    return await attempt(run)


@program
async def two_readers_at_once():
    async def client(reader, writer):
        first = asyncio.create_task(reader.read(1))
        await asyncio.sleep(0)
        said = await attempt(reader.read, 1)
        first.cancel()
        return said

    return await served(idle, client)


@program
async def a_stream_reader_that_is_fed():
    reader = asyncio.StreamReader()
    reader.feed_data(b"abc")
    reader.feed_eof()
    return await reader.read(2), await reader.read(), await reader.read(), reader.at_eof()


@program
async def a_stream_reader_with_an_exception():
    reader = asyncio.StreamReader()
    reader.set_exception(ValueError("x"))
    return await attempt(reader.read), repr(reader.exception())


# --- writing


@each(b"", b"x", bytearray(b"xy"), memoryview(b"xyz"), "x", None, 5, [b"a"])
async def write_of(data):
    async def client(reader, writer):
        said = await attempt(writer.write, data)
        writer.write_eof()
        return said, await reader.read()

    return await served(echo, client)


@each([], [b"a", b"b"])  # an empty chunk alone makes the loop of 3.12 spin for ever
async def writelines_of(data):
    async def client(reader, writer):
        said = (await attempt(writer.writelines, data)).split(" ")[:2]
        writer.write_eof()
        return said, await reader.read()

    return await served(echo, client)


@program
async def write_after_the_end_of_ones_direction():
    async def client(reader, writer):
        writer.write_eof()
        return await attempt(writer.write, b"x"), writer.can_write_eof(), await reader.read()

    return await served(echo, client)


@program
async def write_after_close():
    async def client(reader, writer):
        writer.close()
        closing = writer.is_closing()
        said = await attempt(writer.write, b"x")
        await writer.wait_closed()
        return closing, said

    return await served(idle, client)


@program
async def close_twice_and_wait():
    async def client(reader, writer):
        writer.close()
        writer.close()
        return await attempt(writer.wait_closed), await attempt(writer.wait_closed)

    return await served(idle, client)


@program
async def much_data_arrives_whole_and_in_order():
    data = bytes(range(256)) * 2000

    async def client(reader, writer):
        async def send():
            writer.write(data)
            await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        got = await reader.read()
        await sending
        return got == data

    return await served(echo, client)


@program
async def a_writer_waits_while_nobody_reads():
    async def client(reader, writer):
        async def flood():
            for _ in range(1000):
                writer.write(b"x" * 65536)
                await writer.drain()

        flooding = asyncio.create_task(flood())
        await asyncio.sleep(LONG_S)
        done = flooding.done()
        flooding.cancel()
        writer.transport.abort()
        return done

    async def deaf(reader, writer):
        reader._transport.pause_reading()
        await asyncio.sleep(LONG_S * 2)
        writer.transport.abort()

    return await served(deaf, client)
