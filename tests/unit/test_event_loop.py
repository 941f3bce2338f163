"""What becomes of sockets that the operator's event loop is given: a server that resets connections as they begin."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from innkeeper.event_loop import EventLoop
from tests.kit.waiting import settled

TRIES = 600  # of which some 5 % are closed in the turn in which they are taken over
RESET = struct.pack("ii", 1, 0)  # struct linger: on, zero seconds


@pytest.fixture
def port() -> Iterator[int]:
    """A server that resets each connection, somewhere in the first moments of its handshake."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    thread = threading.Thread(target=_serve, args=(listener,))
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def _serve(listener: socket.socket) -> None:
    random = Random(7)  # noqa: S311 - it only spreads the resets over time
    while True:
        try:
            accepted, _ = listener.accept()
        except OSError:  # the test is done
            return
        with accepted:
            if random.random() < 0.5:
                with contextlib.suppress(TimeoutError, OSError):
                    accepted.settimeout(random.random() * 0.0005)
                    accepted.recv(4096)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


async def _given(port: int, tls: ssl.SSLContext) -> socket.socket:
    """A connected socket that was given to the loop, whatever became of it."""
    loop = asyncio.get_running_loop()
    given = socket.socket()
    given.setblocking(False)
    try:
        await loop.sock_connect(given, ("127.0.0.1", port))
    except OSError:  # it was reset before
        given.close()
        return given
    with contextlib.suppress(OSError):
        transport, _ = await loop.create_connection(
            asyncio.Protocol, sock=given, ssl=tls, server_hostname="api"
        )
        transport.abort()
    return given


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_socket_that_was_taken_over_is_not_closed_a_second_time(port: int) -> None:
    async def all_given(tries: int) -> list[int]:
        tls = ssl.create_default_context()
        return [(await _given(port, tls)).fileno() for _ in range(tries)]

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(all_given(1))  # what libuv opens once
        before = runner.run(settled(_descriptors))
        assert runner.run(all_given(TRIES)) == [-1] * TRIES
        assert runner.run(settled(_descriptors)) == before
