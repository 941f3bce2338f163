"""The connections to one API server: kept open, a bounded number at once, each used by one call at a time.

It adds nothing to what is sent but what HTTP asks for, follows no redirect, uses no proxy, and sends nothing again but a
read that met a connection which the server had closed meanwhile.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import aiohappyeyeballs

from innkeeper.kube.connection import Answer, Connection, NoAnswerError
from innkeeper.kube.errors import UnavailableError

T = TypeVar("T")

MOST_CONNECTIONS = 64
KEPT_IDLE_S = 60.0  # an API server closes what is idle for longer
REACHED_WITHIN_S = 10.0  # an address of the server, by TCP
# How long one address of a name may take before the next is tried beside it (RFC 8305, section 5).
NEXT_ADDRESS_AFTER_S = 0.25
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True)
class Call:
    """One request; `target` is the path with its query, encoded."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


class Transport:
    """Sends calls to the API server at a URL; without `tls` by plain HTTP."""

    def __init__(
        self, url: str, *, tls: ssl.SSLContext | None = None, server_name: str | None = None
    ) -> None:
        self._url = url
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (80 if tls is None else 443)
        self._authority = parts.netloc.rpartition("@")[2]
        self._prefix = parts.path.rstrip("/")
        self._tls = tls
        self._server_name = None if tls is None else (server_name or self._host).rstrip(".")
        self._room = asyncio.Semaphore(MOST_CONNECTIONS)
        self._idle: list[Connection] = []  # used last at the end
        self._busy: set[Connection] = set()
        self._is_closed = False

    async def whole(self, call: Call, *, most: int) -> tuple[Answer, bytes | None]:
        """Return the answer to a call and its body, None where that is larger than `most` bytes.

        Raises:
            ApiError: UnavailableError where there is no way to the server, or the connection ends before all is there.
        """
        async with self._room:
            connection, answer, body = await self._sent(call, lambda answer: answer.body(most=most))
            self._give_back(connection)
            return answer, body

    @asynccontextmanager
    async def streamed(self, call: Call) -> AsyncIterator[Answer]:
        """Yield the answer to a call once its head is there.

        Raises:
            ApiError: UnavailableError where there is no way to the server, or the connection ends before it answers.
        """
        async with self._room:
            connection, answer, _ = await self._sent(call, Answer.head)
            try:
                yield answer
            finally:
                self._give_back(connection)

    async def close(self) -> None:
        """Cut all connections and make no more; whoever waits is told soon afterwards."""
        self._is_closed = True
        for connection in (*self._idle, *self._busy):
            connection.cut()
        self._idle.clear()
        await asyncio.sleep(0)  # a turn of the loop, in which connections learn of their end

    async def _sent(self, call: Call, wait: Callable[[Answer], Awaitable[T]]) -> tuple[Connection, Answer, T]:
        kept = self._kept()
        try:
            return await self._sent_on(kept or await self._connect(), call, wait)
        except NoAnswerError:
            if kept is None or call.method != "GET":
                raise
        return await self._sent_on(await self._connect(), call, wait)

    async def _sent_on(
        self, connection: Connection, call: Call, wait: Callable[[Answer], Awaitable[T]]
    ) -> tuple[Connection, Answer, T]:
        self._busy.add(connection)
        try:
            answer = connection.request(self._head(call), call.body)
            return connection, answer, await wait(answer)
        except BaseException:
            self._give_back(connection)
            raise

    def _kept(self) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - KEPT_IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.may_be_used and connection.used_at > oldest:
                return connection
            connection.cut()
        return None

    def _give_back(self, connection: Connection) -> None:
        self._busy.discard(connection)
        now = asyncio.get_running_loop().time()
        if connection.may_be_used and not self._is_closed:
            connection.used_at = now
            self._idle.append(connection)
        else:
            connection.cut()
        while self._idle and self._idle[0].used_at <= now - KEPT_IDLE_S:
            self._idle.pop(0).cut()

    async def _connect(self) -> Connection:
        self._refuse_if_closed()
        try:
            connection = await self._opened()
        except OSError as error:  # a deadline that passed is one, too
            why = str(error) or type(error).__name__
            raise UnavailableError(f"the API server {self._url} does not answer: {why}") from error
        if self._is_closed:
            connection.cut()
        self._refuse_if_closed()
        return connection

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise UnavailableError(f"the connections to the API server {self._url} were closed here")

    async def _opened(self) -> Connection:
        """Open a connection to the first address that takes one, all of it.

        Only to reach one has a deadline here: a server that just began takes its time for many handshakes, and who calls
        has a deadline of its own.
        """
        async with asyncio.timeout(REACHED_WITHIN_S) as deadline:
            left = list(await self._addresses())
            while True:
                reached = await aiohappyeyeballs.start_connection(
                    left, happy_eyeballs_delay=NEXT_ADDRESS_AFTER_S, interleave=1
                )
                deadline.reschedule(None)
                peer = reached.getpeername()
                try:
                    return await self._greeted(reached)
                except ssl.SSLCertVerificationError:
                    raise
                except OSError:
                    # It may be one of several servers, which is not ready to serve.
                    aiohappyeyeballs.remove_addr_infos(left, peer)
                    if not left:
                        raise
                deadline.reschedule(asyncio.get_running_loop().time() + REACHED_WITHIN_S)

    async def _greeted(self, reached: socket.socket) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._url), sock=reached, ssl=self._tls, server_hostname=self._server_name
        )
        return connection

    async def _addresses(self) -> Sequence[aiohappyeyeballs.AddrInfoType]:
        kind = socket.SOCK_STREAM
        try:
            # Of what is an address already nobody is asked.
            return socket.getaddrinfo(self._host, self._port, type=kind, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            return await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=kind)

    def _head(self, call: Call) -> bytes:
        fields = [f"{call.method} {self._prefix}{call.target} HTTP/1.1", f"Host: {self._authority}"]
        fields += [f"{name}: {value}" for name, value in call.headers.items()]
        if call.body or call.method in _WITH_BODY:
            fields.append(f"Content-Length: {len(call.body)}")
        head = "\r\n".join((*fields, "", ""))
        if head.count("\n") != len(fields) + 1 or head.count("\r") != len(fields) + 1:
            raise ValueError("a line break inside a request's path or header")
        return head.encode("ascii")
