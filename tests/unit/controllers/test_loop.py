"""The loop of kopf's thread ends with no connection left, also where the other side never says goodbye."""

import asyncio
import gc
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.certificates import Authority

from innkeeper.controllers.loop import ConnectionsEnd
from tests.kit.host_api import context

NAME = "silent"
WITHIN_S = 20


class Caller(asyncio.Protocol):
    """A protocol that can be referred to weakly, as aiohttp's can."""


class SilentServer:
    """Shakes hands by TLS and never answers anything after; knows when its caller closed the socket."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext) -> None:
        self._listener = listener
        self._tls = tls
        self.closed_by_caller = threading.Event()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self._listener.getsockname()[1])

    def serve_one(self) -> None:
        """Take one caller; read what it sends below TLS, so that its goodbye gets no answer."""
        plain, _ = self._listener.accept()
        plain.settimeout(WITHIN_S)
        shaken = self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=True)
        with socket.socket(fileno=shaken.detach()) as raw:
            raw.settimeout(WITHIN_S)
            while raw.recv(4096):
                pass
            self.closed_by_caller.set()


@contextmanager
def silent_server(authority: Authority) -> Iterator[SilentServer]:
    pair = authority.issue_server(NAME, alternative_names=[NAME])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2  # there the server is ready before its caller thinks so
    tls.load_cert_chain(pair.certificate, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WITHIN_S)
        server = SilentServer(listener, tls)
        thread = threading.Thread(target=server.serve_one)
        thread.start()
        yield server
        thread.join()


@pytest.mark.parametrize("closes", [True, False], ids=["it-waits-for-a-goodbye", "it-is-open"])
def test_a_loop_ends_with_no_connection_left(tmp_path: Path, closes: bool) -> None:  # noqa: FBT001 - parametrized
    authority = Authority(tmp_path)
    authority.ensure()

    async def connect_and_end(port: int) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ConnectionsEnd)
        transport, _ = await loop.create_connection(
            Caller,
            "127.0.0.1",
            port,
            ssl=context(authority, None),
            server_hostname=NAME,
        )
        if closes:
            transport.close()
        await loop.abort_connections()

    with silent_server(authority) as server:
        with asyncio.Runner(loop_factory=ConnectionsEnd) as runner:
            runner.run(connect_and_end(server.port))
        assert server.closed_by_caller.wait(WITHIN_S)
    gc.collect()  # a transport that was left warns here, and warnings are errors
