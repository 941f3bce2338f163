"""One socket: whole pieces in, whole replies out, bytes of a file through one buffer.

Replies to several requests never mix: each is sent under a lock.
"""

import asyncio
import os
import socket
from typing import BinaryIO

from innkeeper.agent.streaming.nbd.export import ReadFailedError
from innkeeper.to_its_end import in_thread

_AT_ONCE = 64 * 1024
_READ_AT_ONCE = 256 * 1024
_KEPT_BUFFER = 2 * 1024 * 1024
_SEND_BUFFER = 4 * 1024 * 1024


class ClosedError(Exception):
    """The other side has gone."""


class Connection:
    """A connected, non-blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._ahead = bytearray()
        self._sending = asyncio.Lock()
        self._buffer = bytearray(_KEPT_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    async def read(self, count: int) -> bytes:
        """Return exactly `count` bytes.

        Raises:
            ClosedError: the other side ends before.
        """
        while len(self._ahead) < count:
            piece = await self._loop.sock_recv(self._socket, max(_AT_ONCE, count - len(self._ahead)))
            if not piece:
                raise ClosedError
            self._ahead += piece
        found = bytes(self._ahead[:count])
        del self._ahead[:count]
        return found

    async def send(self, *pieces: bytes) -> None:
        """Send pieces as one reply."""
        async with self._sending:
            await self._all(memoryview(b"".join(pieces)))

    async def send_file(self, head: bytes, file: BinaryIO, *, offset: int, count: int) -> None:
        """Send a head and then `count` bytes of a file.

        Raises:
            ReadFailedError: the file does not give them; nothing was sent.
        """
        async with self._sending:
            size = len(head) + count
            reply = memoryview(self._buffer if size <= _KEPT_BUFFER else bytearray(size))[:size]
            reply[: len(head)] = head
            body = reply[len(head) :]
            try:
                if count <= _READ_AT_ONCE:
                    read = os.preadv(file.fileno(), [body], offset)
                else:  # a cold disk must not hold up other guests
                    read = await in_thread(os.preadv, file.fileno(), [body], offset)
            except OSError as error:
                raise ReadFailedError(f"the host's disk does not give them: {error.strerror}") from error
            if read != count:
                raise ReadFailedError("the file is shorter than it was")
            await self._all(reply)

    async def _all(self, rest: memoryview) -> None:
        """Send without a turn of the loop where the socket takes it at once."""
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await self._loop.sock_sendall(self._socket, rest)
                return

    def close(self) -> None:
        """End it; what waits for the other side fails."""
        self._socket.close()
