"""One connection to the API server, HTTP/1.1 (RFC 9112): a request at a time, its answer as it comes.

It knows bytes, not objects, and reads no further ahead of who asks for them than a cap. llhttp parses, by httptools. A
connection whose answer was not read to its end is of no more use.
"""

import asyncio
from typing import Any, cast

import httptools

from innkeeper.kube.errors import UnavailableError

MOST_UNREAD_BYTES = 256 * 1024
MOST_HEAD_BYTES = 64 * 1024
_TOO_LARGE = f"its headers are larger than {MOST_HEAD_BYTES} bytes"


class LostConnectionError(UnavailableError):
    """The connection ended before the answer was complete, or what came is no HTTP."""


class NoAnswerError(LostConnectionError):
    """It ended before there was any answer."""


class Answer:
    """An answer as it comes: the head first, then the body. One task reads it; to cancel a wait loses nothing."""

    def __init__(self, connection: "Connection") -> None:
        self.status = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self.is_complete = False
        self._connection = connection
        self._chunks: list[bytes] = []
        self._unread_bytes = 0
        self._wake_above = 0  # bytes that are unread; the end and a failure wake in any case
        self._failure: LostConnectionError | None = None
        self._waiting: asyncio.Future[None] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers, their names in lower case; of equal names the last."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._fields}

    async def head(self) -> None:
        """Wait for status and headers.

        Raises:
            LostConnectionError: the connection ended before.
        """
        while not self.status:
            await self._wait()

    async def body(self, *, most: int) -> bytes | None:
        """Return the whole body, or None where it is larger than `most` bytes.

        Raises:
            LostConnectionError: the connection ended before.
        """
        self._wake_above = most
        while not self.is_complete and self._unread_bytes <= most:
            self._connection.read_on()
            await self._wait()
        return self._taken() if self._unread_bytes <= most else None

    async def chunk(self) -> bytes:
        """Return what came since the last call, or wait for it; empty where the answer is complete.

        Raises:
            LostConnectionError: the connection ended before.
        """
        while not self._chunks and not self.is_complete:
            await self._wait()
        return self._taken()

    def _taken(self) -> bytes:
        found = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._unread_bytes = 0
        self._connection.read_on()
        return found

    async def _wait(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def take_head(self, status: int, fields: list[tuple[bytes, bytes]]) -> None:
        """Note status and headers."""
        self.status, self._fields = status, fields
        if not self._wake_above:
            self._wake()

    def take_chunk(self, chunk: bytes) -> bool:
        """Note a piece of the body; tell whether more may come before this was read."""
        self._chunks.append(chunk)
        self._unread_bytes += len(chunk)
        if self._unread_bytes > self._wake_above:
            self._wake()
        return self._unread_bytes <= max(MOST_UNREAD_BYTES, self._wake_above)

    def end(self) -> None:
        """Note that all was told."""
        self.is_complete = True
        self._wake()

    def fail(self, failure: LostConnectionError) -> None:
        """Note that nothing more comes."""
        self._failure = failure
        self._wake()


class Connection(asyncio.Protocol):
    """A connection to a server, by whose URL it is named where it fails."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.used_at = 0.0  # by the loop's clock: when it was last given back
        self._transport: asyncio.Transport
        self._parser: Any
        self._answer: Answer | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._unfinished_bytes = 0
        self._is_paused = False
        self._is_open = False
        self._is_kept = True

    @property
    def may_be_used(self) -> bool:
        """Whether another request may be sent: it is open, and its last answer was read to its end."""
        is_at_rest = self._answer is None and not self._is_paused
        return is_at_rest and self._is_open and self._is_kept and not self._transport.is_closing()

    def request(self, head: bytes, body: bytes) -> Answer:
        """Send a request and return its answer, of which nothing is known yet."""
        self._answer = Answer(self)
        self._unfinished_bytes = 0
        self._transport.write(head + body if body else head)
        return self._answer

    def cut(self) -> None:
        """End the connection at once; whoever reads is told."""
        self._is_open = False
        self._transport.abort()

    def pause(self) -> None:
        """Read no further for now."""
        if not self._is_paused and self._is_open:
            self._is_paused = True
            self._transport.pause_reading()

    def read_on(self) -> None:
        """Read again, where reading paused."""
        if self._is_paused and self._is_open:
            self._is_paused = False
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio calls it)."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._is_open = True

    def data_received(self, data: bytes) -> None:
        """Parse what came (asyncio calls it)."""
        if self._answer is None:
            self.cut()  # nobody asked for it
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"what it says is no HTTP: {error.__context__ or error}")
            self.cut()
        if self._answer is not None and not self._answer.status:
            self._look_at_head(len(data))

    def _look_at_head(self, more: int) -> None:
        """End an answer whose head does not end; the parser tells of a header only once it has all of it."""
        self._unfinished_bytes += more
        if self._unfinished_bytes > MOST_HEAD_BYTES:
            self._fail(_TOO_LARGE)
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        """End (asyncio calls it)."""
        was_open, self._is_open = self._is_open, False  # what we cut ourselves is no end of an answer
        if was_open and exc is None and self._answer is not None and _ends_with_connection(self._answer):
            self.on_message_complete()
        self._fail(str(exc or "") or "the connection was closed")

    def _fail(self, message: str) -> None:
        if self._answer is not None:
            kind = LostConnectionError if self._answer.status else NoAnswerError
            self._answer.fail(kind(f"the API server {self._url} does not answer: {message}"))
            self._answer = None

    def on_message_begin(self) -> None:
        """Begin with an answer's head (the parser calls it)."""
        if self._answer is None:
            raise ValueError("nobody asked for it")
        self._fields, self._head_bytes = [], 0

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """Take a header (the parser calls it)."""
        field = (name, value or b"")
        self._fields.append(field)
        self._head_bytes += len(name) + len(field[1])
        if self._head_bytes > MOST_HEAD_BYTES:
            raise ValueError(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Tell the head (the parser calls it); an interim answer (1xx) says nothing."""
        status = self._parser.get_status_code()
        if self._answer is not None and status >= 200:  # noqa: PLR2004 - HTTP's own number
            self._answer.take_head(status, self._fields)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body (the parser calls it)."""
        if self._answer is not None and not self._answer.take_chunk(body):
            self.pause()

    def on_message_complete(self) -> None:
        """Tell the end (the parser calls it)."""
        answer = self._answer
        if answer is not None and answer.status:
            self._is_kept = self._parser.should_keep_alive()
            self._answer = None
            answer.end()


def _ends_with_connection(answer: Answer) -> bool:
    """Tell whether the end of the connection is the end of the body (RFC 9112, section 6.3)."""
    return answer.status != 0 and not answer.headers.keys() & {"content-length", "transfer-encoding"}
