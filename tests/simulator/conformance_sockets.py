# ruff: noqa: ANN001, ANN202 - written as anybody would write them
"""Conformance: sockets, and AnyIO on top of the loop."""

import asyncio
import socket

import anyio
import anyio.lowlevel
from conformance_table import attempt, each, program, says

loop_ = asyncio.get_running_loop


# --- sockets


@program
async def a_new_socket_says_what_it_is():
    with socket.socket() as sock:
        facts = sock.family == socket.AF_INET, sock.type == socket.SOCK_STREAM, sock.gettimeout(), sock.fileno() > 0
        peer = await attempt(sock.getpeername)
    return facts, peer, sock.fileno(), await attempt(sock.listen)


@each(None, 0, 1, 0.5, -1, "x")
async def settimeout_of(value):
    with socket.socket() as sock:
        return await attempt(sock.settimeout, value), sock.gettimeout(), sock.getblocking()


@program
async def sockets_by_the_loop():
    listener = socket.socket()
    listener.setblocking(False)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    client = socket.socket()
    client.setblocking(False)
    accepting = asyncio.create_task(loop_().sock_accept(listener))
    await loop_().sock_connect(client, listener.getsockname())
    peer, address = await accepting
    await loop_().sock_sendall(client, b"hello")
    got = await loop_().sock_recv(peer, 100)
    buffer = bytearray(10)
    await loop_().sock_sendall(peer, b"back")
    count = await loop_().sock_recv_into(client, buffer)
    same = client.getsockname() == address
    client.close()
    end = await loop_().sock_recv(peer, 100)
    peer.close()
    listener.close()
    return got, count, bytes(buffer[:count]), same, end


@each("accept", "recv")
async def a_non_blocking_socket_that_has_nothing(name):
    listener = socket.socket()
    listener.setblocking(False)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    if name == "accept":
        said = await attempt(listener.accept)
    else:
        said = await attempt(listener.recv, 1)
    listener.close()
    return said


@program
async def a_server_on_a_socket_of_its_own():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    address = sock.getsockname()
    server = await asyncio.start_server(says(b"hi"), sock=sock)
    reader, writer = await asyncio.open_connection(*address)
    got = await reader.read()
    writer.close()
    server.close()
    return got, address == server.sockets if server.sockets else got


@program
async def a_connected_socket_becomes_a_stream():
    server = await asyncio.start_server(says(b"hi"), "127.0.0.1", 0)
    sock = socket.socket()
    sock.setblocking(False)
    await loop_().sock_connect(sock, server.sockets[0].getsockname())
    reader, writer = await asyncio.open_connection(sock=sock)
    got = await reader.read()
    writer.close()
    server.close()
    return got


@each("127.0.0.1", "localhost", None)
async def getaddrinfo_of(host):
    found = await loop_().getaddrinfo(host, 80, family=socket.AF_INET, type=socket.SOCK_STREAM)
    return [(entry[0] == socket.AF_INET, entry[1] == socket.SOCK_STREAM, entry[4][1]) for entry in found][:1]


# --- AnyIO


@program
async def anyio_streams():
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)

    async def handle(stream):
        async with stream:
            async for data in stream:
                await stream.send(data)

    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"hello")
            await stream.send_eof()
            got = b"".join([part async for part in stream])
        group.cancel_scope.cancel()
    return got


@each(0, 0.001, 1)
async def anyio_move_on_after(delay):
    with anyio.move_on_after(delay) as scope:
        await anyio.sleep(0.004)
    return scope.cancelled_caught


@each(0, 0.001, 1)
async def anyio_fail_after(delay):
    async def run():
        with anyio.fail_after(delay):
            await anyio.sleep(0.004)

    return await attempt(run)


@program
async def anyio_threads_both_ways():
    async def answer():
        await anyio.lowlevel.checkpoint()
        return 1

    def work():
        return anyio.from_thread.run(answer), anyio.from_thread.run_sync(lambda: 2)

    return await anyio.to_thread.run_sync(work)


@program
async def anyio_memory_streams():
    send, receive = anyio.create_memory_object_stream(1)
    async with send, receive:
        await send.send(1)
        said = await attempt(send.send_nowait, 2)
        return said, await receive.receive(), await attempt(receive.receive_nowait)


@each("Event", "Lock", "Condition")
async def anyio_primitives(kind):
    thing = getattr(anyio, kind)()
    if kind == "Event":
        thing.set()
        await thing.wait()
        return thing.is_set()
    async with thing:
        return thing.locked()


@program
async def anyio_limits_its_borrowers():
    limiter = anyio.CapacityLimiter(1)
    async with limiter:
        return limiter.borrowed_tokens, limiter.available_tokens, await attempt(limiter.acquire_nowait)
