"""The way to the API server: what it keeps open, what it sends again, and what ends a call."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from innkeeper.kube import connection, transport
from innkeeper.kube.connection import LostConnectionError, NoAnswerError
from innkeeper.kube.errors import UnavailableError
from innkeeper.kube.transport import Call, Transport
from tests.kit.tls_server import authority_of, pair_of, tls_server
from tests.kit.waiting import eventually

READ = Call("GET", "/x", {"Accept": "application/json"})
WRITE = Call("PUT", "/x", {}, b"{}")
MOST = 10_000_000


class Server:
    """Speaks as a test has it: `answers` are given in turn, the last one for ever; an empty one closes the connection."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections: list[asyncio.StreamWriter] = []
        self.say: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        while head := await self._head(reader):
            self.requests.append(head)
            if self.say is not None:
                await self.say(writer)
                continue
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            writer.write(answer)
            if not answer or b"Connection: close" in answer or b"until the end" in answer:
                break
        writer.close()

    @staticmethod
    async def _head(reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
            return head + await reader.readexactly(int(length or 0))
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def close_all(self) -> None:
        for each in self.connections:
            each.close()
            with contextlib.suppress(OSError):  # that it was cut is no news here
                await each.wait_closed()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Transport]:
    """Serve on loopback, and yield a way there."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    way = Transport(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    try:
        yield way
    finally:
        await way.close()
        await server.close_all()
        listener.close()


def ok(body: bytes = b"{}", *more: str) -> bytes:
    fields = "".join(f"{each}\r\n" for each in more)
    return f"HTTP/1.1 200 OK\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def body_of(way: Transport, call: Call = READ, *, most: int = MOST) -> bytes | None:
    return (await way.whole(call, most=most))[1]


async def test_a_connection_is_used_again() -> None:
    server = Server(ok(b"1"), ok(b"2"))
    async with serving(server) as way:
        assert [await body_of(way), await body_of(way, WRITE)] == [b"1", b"2"]
    assert len(server.connections) == 1
    assert server.requests[1].startswith(b"PUT /x HTTP/1.1\r\nHost: 127.0.0.1:")
    assert server.requests[1].endswith(b"Content-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize(
    ("call", "is_sent_again"), [(READ, True), (WRITE, False), (Call("DELETE", "/x", {}), False)]
)
async def test_only_a_read_is_sent_again_where_the_server_had_closed_meanwhile(
    call: Call, *, is_sent_again: bool
) -> None:
    server = Server(ok(b"1"), b"", ok(b"2"))
    async with serving(server) as way:
        await body_of(way)
        if is_sent_again:
            assert await body_of(way, call) == b"2"
        else:
            with pytest.raises(NoAnswerError, match="does not answer"):
                await body_of(way, call)
    assert len(server.requests) == 2 + is_sent_again


async def test_a_read_is_not_sent_for_ever() -> None:
    server = Server(b"")
    async with serving(server) as way:
        with pytest.raises(NoAnswerError):
            await body_of(way)
    assert len(server.requests) == 1, "the connection was a fresh one"


async def test_what_was_closed_while_nobody_used_it_is_not_used() -> None:
    server = Server(ok())
    async with serving(server) as way:
        await body_of(way)
        await server.close_all()
        await eventually(lambda: not any(each.may_be_used for each in way._idle))
        assert await body_of(way, WRITE) == b"{}"
    assert len(server.connections) == 2


async def test_what_was_idle_for_long_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "KEPT_IDLE_S", 0.0)
    server = Server(ok())
    async with serving(server) as way:
        await body_of(way)
        await body_of(way)
    assert len(server.connections) == 2


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"1"), b"1"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n2\r\n23\r\n0\r\n\r\n", b"123"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (ok(b"1", "Connection: close"), b"1"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_answers_of_each_form(answer: bytes, body: bytes) -> None:
    server = Server(answer, ok(b"next"))
    async with serving(server) as way:
        assert await body_of(way) == body
        assert await body_of(way) == b"next"


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * (connection.MOST_HEAD_BYTES + 1) + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n12",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\n12",
    ],
)
async def test_what_is_no_answer_or_half_of_one_is_told(answer: bytes) -> None:
    async with serving(Server(answer)) as way:
        with pytest.raises(LostConnectionError, match="does not answer"):
            await body_of(way)


async def test_what_comes_behind_an_answer_ends_the_connection() -> None:
    server = Server(ok(b"1") + ok(b"forged"), ok(b"2"))
    async with serving(server) as way:
        assert [await body_of(way), await body_of(way)] == [b"1", b"2"]
    assert len(server.connections) == 2


async def test_a_body_is_read_up_to_a_cap() -> None:
    server = Server(ok(b"x" * MOST))
    async with serving(server) as way:
        assert await body_of(way, most=1000) is None
        assert await body_of(way, most=MOST) == b"x" * MOST
        assert await body_of(way, most=MOST - 1) is None
    assert len(server.connections) == 2, "what is left of the first answer is not taken for the next"


async def test_who_waits_no_longer_leaves_no_half_answer_behind() -> None:
    server = Server(ok(b"late"), ok(b"next"))
    met, go = asyncio.Event(), asyncio.Event()

    async def hold(writer: asyncio.StreamWriter) -> None:
        met.set()
        await go.wait()
        writer.write(server.answers.pop(0))

    server.say = hold
    async with serving(server) as way:
        call = asyncio.create_task(body_of(way))
        await met.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        go.set()
        server.say = None
        assert await body_of(way) == b"next"
    assert len(server.connections) == 2


async def test_a_stream_is_read_no_further_ahead_than_its_cap() -> None:
    blocked = asyncio.Event()

    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        for _ in range(1024):
            writer.write(piece)
            try:
                async with asyncio.timeout(1):
                    await writer.drain()
            except TimeoutError:
                blocked.set()
                await writer.drain()
        writer.write(b"0\r\n\r\n")

    server = Server()
    server.say = flood
    async with serving(server) as way, way.streamed(READ) as answer:
        async with asyncio.timeout(30):
            await blocked.wait()
            assert answer._unread_bytes < 8 * connection.MOST_UNREAD_BYTES
            read = 0
            while chunk := await answer.chunk():
                read += len(chunk)
        assert read == 1024 * 0x10000


async def test_to_wait_in_vain_loses_nothing_of_a_stream() -> None:
    async def begin(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    server = Server()
    server.say = begin
    async with serving(server) as way, way.streamed(READ) as answer:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await answer.chunk()
        server.connections[0].write(b"2\r\nab\r\n")
        assert await answer.chunk() == b"ab"
        server.connections[0].write(b"0\r\n\r\n")
        assert await answer.chunk() == b""


async def test_no_more_calls_at_once_than_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MOST_CONNECTIONS", 2)
    waiting, go = 0, asyncio.Event()
    server = Server()

    async def hold(writer: asyncio.StreamWriter) -> None:
        nonlocal waiting
        waiting += 1
        await go.wait()
        writer.write(ok())

    server.say = hold
    async with serving(server) as way:
        calls = [asyncio.create_task(body_of(way)) for _ in range(5)]
        await eventually(lambda: waiting == 2)
        go.set()
        assert await asyncio.gather(*calls) == [b"{}"] * 5
    assert len(server.connections) == 2


async def test_its_end_is_told_to_who_waits() -> None:
    met, server = asyncio.Event(), Server()

    async def hold(_writer: asyncio.StreamWriter) -> None:
        met.set()

    server.say = hold
    async with serving(server) as way:
        call = asyncio.create_task(body_of(way))
        await met.wait()
        await way.close()
        with pytest.raises(NoAnswerError):
            await call


async def test_after_its_end_nothing_is_sent() -> None:
    server = Server(ok())
    async with serving(server) as way:
        await body_of(way)
        met, go = asyncio.Event(), asyncio.Event()

        async def hold(writer: asyncio.StreamWriter) -> None:
            met.set()
            await go.wait()
            writer.write(ok())

        server.say = hold
        call = asyncio.create_task(body_of(way))
        await met.wait()
        await way.close()
        go.set()
        with pytest.raises(UnavailableError):
            await call  # a read, on a connection that was kept: it is not sent again
        with pytest.raises(UnavailableError, match="closed here"):
            await body_of(way)
        assert not any(each.may_be_used for each in way._idle)
    assert len(server.requests) == 2


async def test_a_call_that_connects_while_all_is_closed_leaves_no_connection() -> None:
    server = Server(ok())
    async with serving(server) as way:
        calls = [asyncio.create_task(body_of(way, WRITE)) for _ in range(3)]
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, in which they begin to connect
        await way.close()
        assert all(
            isinstance(each, UnavailableError)
            for each in await asyncio.gather(*calls, return_exceptions=True)
        )
        assert not way._idle
    assert server.requests == []


async def test_a_connection_that_paused_at_the_end_of_its_answer_is_not_used_again() -> None:
    size = connection.MOST_UNREAD_BYTES + 1
    server = Server(ok(b"x" * size), ok(b"next"))
    async with serving(server) as way:
        async with way.streamed(READ) as answer:
            await eventually(
                lambda: answer.is_complete or answer._unread_bytes > connection.MOST_UNREAD_BYTES
            )
        assert await body_of(way) == b"next"
        async with way.streamed(READ) as answer:
            assert await answer.chunk() == b"next"


async def test_a_connection_that_the_server_ends_is_not_offered_any_more() -> None:
    server = Server(ok())
    async with serving(server) as way:
        await body_of(way)
        (kept,) = way._idle
        kept._transport.close()
        assert not kept.may_be_used
        assert await body_of(way, WRITE) == b"{}"


async def test_what_we_cut_is_not_taken_for_a_whole_answer() -> None:
    async def half(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")

    server = Server()
    server.say = half
    async with serving(server) as way:
        call = asyncio.create_task(body_of(way))
        await eventually(lambda: any(each._answer and each._answer.status for each in way._busy))
        await way.close()
        with pytest.raises(LostConnectionError):
            await call


async def test_a_header_without_end_is_not_read_to_its_end() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"x" * 10_000)
                await writer.drain()

    server = Server()
    server.say = endless
    async with serving(server) as way:
        with pytest.raises(LostConnectionError, match="headers are larger"):
            await body_of(way)


async def test_connections_that_nobody_needs_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    go, server, count = asyncio.Event(), Server(), 5

    async def hold(writer: asyncio.StreamWriter) -> None:
        await go.wait()
        writer.write(ok())

    server.say = hold
    async with serving(server) as way:
        calls = [asyncio.create_task(body_of(way)) for _ in range(count)]
        await eventually(lambda: len(server.requests) == count)
        go.set()
        await asyncio.gather(*calls)
        assert len(way._idle) == count
        monkeypatch.setattr(transport, "KEPT_IDLE_S", 0.0)
        await body_of(way)
        assert len(way._idle) <= 1


async def test_a_line_break_makes_no_second_header() -> None:
    server = Server(ok())
    async with serving(server) as way:
        for call in (
            Call("GET", "/x", {"Authorization": "Bearer a\r\nX: y"}),
            Call("GET", "/x HTTP/1.1\nX: y", {}),
        ):
            with pytest.raises(ValueError, match="line break"):
                await body_of(way, call)
        assert await body_of(way) == b"{}"
    assert len(server.requests) == 1


async def test_a_name_may_have_an_address_where_nobody_listens() -> None:
    server = Server(ok(b"here"))
    async with serving(server) as way:
        port = way._port
        named = Transport(f"http://localhost:{port}/prefix/")
        assert await body_of(named) == b"here"
        await named.close()
    assert server.requests[0].startswith(f"GET /prefix/x HTTP/1.1\r\nHost: localhost:{port}\r\n".encode())
    refused = Transport(f"http://localhost:{port}")
    with pytest.raises(UnavailableError, match="does not answer"):
        await body_of(refused)


async def test_of_several_servers_one_that_does_not_serve_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="served")

    app = web.Application()
    app.router.add_get("/x", answer)
    pair = pair_of(tmp_path, "one")

    async def rude(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with tls_server(lambda: app, pair) as server:
        port = int(server.url.rpartition(":")[2])
        listener = await asyncio.start_server(rude, "127.0.0.2", port)
        trusted = ssl.create_default_context(cadata=authority_of(pair).decode())
        way = Transport(f"https://several.example:{port}", tls=trusted, server_name="127.0.0.1")
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in ("127.0.0.2", "127.0.0.1")
        ]

        async def addresses() -> list[Any]:
            return found

        monkeypatch.setattr(way, "_addresses", addresses)
        assert await body_of(way) == b"served"
        await way.close()
        listener.close()


async def test_a_name_that_nobody_knows_is_told() -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        await body_of(Transport("http://nowhere.invalid"))


async def test_a_server_is_known_by_its_authority_and_its_name(tmp_path: Path) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="secret")

    def application() -> web.Application:
        app = web.Application()
        app.router.add_get("/x", answer)
        return app

    pair = pair_of(tmp_path, "one")
    trusted = ssl.create_default_context(cadata=authority_of(pair).decode())
    stranger = ssl.create_default_context(cadata=authority_of(pair_of(tmp_path, "other")).decode())
    async with tls_server(application, pair) as server:
        way = Transport(server.url, tls=trusted)
        assert await body_of(way) == b"secret"
        await way.close()
        with pytest.raises(UnavailableError, match="certificate"):
            await body_of(Transport(server.url, tls=stranger))
        with pytest.raises(UnavailableError, match="certificate"):
            await body_of(Transport(server.url, tls=trusted, server_name="another.example"))
