# ruff: noqa: ANN001, ANN202, ANN204 - written as anybody would write them
"""Conformance: transports, protocols, servers."""

import asyncio
import errno
import socket

from conformance_table import attempt, each, echo, idle, program, says, served

loop_ = asyncio.get_running_loop


# --- transports and protocols


class Notes(asyncio.Protocol):
    def __init__(self):
        self.seen = []
        self.over = loop_().create_future()

    def connection_made(self, transport):
        self.seen.append("made")
        self.transport = transport

    def data_received(self, data):
        self.seen.append(bytes(data))

    def eof_received(self):
        self.seen.append("eof")

    def connection_lost(self, exc):
        self.seen.append(type(exc).__name__)
        if not self.over.done():
            self.over.set_result(None)


async def noted(handler, act):
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    transport, protocol = await loop_().create_connection(Notes, *server.sockets[0].getsockname()[:2])
    try:
        value = await act(transport, protocol)
        await asyncio.wait_for(protocol.over, 1)
        return value, protocol.seen
    finally:
        server.close()
        await asyncio.sleep(0.001)


@program
async def a_protocol_hears_of_everything_in_order():
    return await noted(says(b"hello"), lambda t, p: asyncio.sleep(0))


@each("close", "abort")
async def a_protocol_that_ends_its_connection_by(name):
    async def act(transport, protocol):
        getattr(transport, name)()
        return transport.is_closing()

    return await noted(idle, act)


@program
async def a_peer_that_aborts_with_nothing_unread():
    async def handle(reader, writer):
        writer.write(b"last")
        await asyncio.sleep(0.002)
        writer.transport.abort()

    return await noted(handle, lambda t, p: asyncio.sleep(0))


@program
async def a_peer_that_closes_with_unread_bytes_resets():
    async def handle(reader, writer):
        reader._transport.pause_reading()
        await asyncio.sleep(0.01)
        writer.close()

    async def act(transport, protocol):
        transport.write(b"unread")

    return await noted(handle, act)


@program
async def pause_and_resume_reading():
    async def act(transport, protocol):
        transport.pause_reading()
        reading = transport.is_reading()
        await asyncio.sleep(0.005)
        before = list(protocol.seen)
        transport.resume_reading()
        return reading, before, transport.is_reading()

    return await noted(says(b"hello"), act)


@program
async def what_a_transport_knows():
    async def act(transport, protocol):
        names = ("peername", "sockname", "socket", "sslcontext", "nonsense")
        known = [transport.get_extra_info(name) is not None for name in names]
        sock = transport.get_extra_info("socket")
        same = sock.getpeername() == transport.get_extra_info("peername")
        kind = sock.family == socket.AF_INET, sock.type == socket.SOCK_STREAM, sock.fileno() > 0
        transport.close()
        return known, same, kind, transport.get_protocol() is protocol

    return await noted(idle, act)


@each({}, {"high": 100}, {"low": 10}, {"high": 10, "low": 20}, {"high": 0}, {"high": -1}, {"high": 5, "low": 5})
async def write_buffer_limits_of(limits):
    async def act(transport, protocol):
        said = await attempt(transport.set_write_buffer_limits, **limits)
        found = transport.get_write_buffer_limits(), transport.get_write_buffer_size()
        transport.close()
        return said, found

    return await noted(idle, act)


@program
async def a_descriptor_is_gone_once_the_connection_is_closed():
    async def act(transport, protocol):
        sock = transport.get_extra_info("socket")
        transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return sock.fileno()

    return await noted(idle, act)


@program
async def a_buffered_protocol_gets_its_bytes():
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self):
            self.buffer, self.got, self.over = bytearray(4), b"", loop_().create_future()

        def get_buffer(self, sizehint):
            return self.buffer

        def buffer_updated(self, nbytes):
            self.got += bytes(self.buffer[:nbytes])

        def connection_lost(self, exc):
            self.over.set_result(None)

    server = await asyncio.start_server(says(b"hello world"), "127.0.0.1", 0)
    _, protocol = await loop_().create_connection(Buffered, *server.sockets[0].getsockname()[:2])
    await protocol.over
    server.close()
    return protocol.got


@program
async def a_protocol_that_fails_loses_its_connection():
    reported = []
    loop_().set_exception_handler(lambda loop, context: reported.append(repr(context.get("exception"))))

    class Fails(Notes):
        def data_received(self, data):
            raise ValueError("x")

    server = await asyncio.start_server(says(b"hello"), "127.0.0.1", 0)
    _, protocol = await loop_().create_connection(Fails, *server.sockets[0].getsockname()[:2])
    await protocol.over
    server.close()
    return protocol.seen, reported


# --- servers


@program
async def a_server_says_what_it_is():
    server = await asyncio.start_server(idle, "127.0.0.1", 0)
    before = server.is_serving(), len(server.sockets), server.get_loop() is loop_()
    server.close()
    return before, server.is_serving(), len(server.sockets), await attempt(server.close)


@program
async def a_port_that_is_taken():
    server = await asyncio.start_server(idle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await asyncio.start_server(idle, "127.0.0.1", port)
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        server.close()


@program
async def a_port_where_nobody_listens():
    server = await asyncio.start_server(idle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    try:
        await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        return type(error).__name__, errno.errorcode[error.errno]


@program
async def serve_forever_until_it_is_cancelled():
    server = await asyncio.start_server(idle, "127.0.0.1", 0)
    task = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0.001)
    again = (await attempt(server.serve_forever)).split(" <")[0]
    task.cancel()
    return again, await attempt(lambda: task), server.is_serving()


@program
async def serve_forever_of_a_closed_server():
    server = await asyncio.start_server(idle, "127.0.0.1", 0)
    server.close()
    return (await attempt(server.serve_forever)).split(" <")[0]


@program
async def a_server_as_a_context():
    async with await asyncio.start_server(idle, "127.0.0.1", 0) as server:
        inside = server.is_serving()
    return inside, server.is_serving()


@each(True, False)
async def start_serving_is(start):
    server = await asyncio.start_server(idle, "127.0.0.1", 0, start_serving=start)
    before = server.is_serving()
    await server.start_serving()
    after = server.is_serving()
    server.close()
    return before, after


@each("before", "after")
async def wait_closed_with_a_connection(when):
    server = await asyncio.start_server(idle, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    await asyncio.sleep(0.005)
    waiting = asyncio.create_task(server.wait_closed()) if when == "before" else None
    await asyncio.sleep(0)
    server.close()
    waiting = waiting or asyncio.create_task(server.wait_closed())
    await asyncio.sleep(0.005)
    early = waiting.done()
    writer.close()
    await asyncio.wait_for(waiting, 1)
    return early


@program
async def connections_outlive_their_server():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    await asyncio.sleep(0.005)
    server.close()
    writer.write(b"x")
    got = await reader.read(1)
    writer.close()
    await asyncio.sleep(0.005)
    return got


@program
async def a_handler_that_fails_is_reported_and_its_connection_stays_until_closed():
    reported = []
    loop_().set_exception_handler(lambda loop, context: reported.append(type(context.get("exception")).__name__))

    async def handle(reader, writer):
        raise ValueError("x")

    async def client(reader, writer):
        await asyncio.sleep(0.005)
        return list(reported)

    return await served(handle, client)
