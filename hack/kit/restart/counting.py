"""A way to the API server that counts what comes back: bytes as they are on the wire, TLS included."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

_CHUNK = 256 * 1024


@dataclass
class Counter:
    """Where to connect to, and how much was read so far."""

    port: int = 0
    read_bytes: int = 0


@asynccontextmanager
async def counting(server: str) -> AsyncIterator[Counter]:
    """Listen on loopback and pass everything on."""
    target = urlsplit(server)
    counter = Counter()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                counter.read_bytes += len(data) if counts else 0
                sink.write(data)
                await sink.drain()
        sink.close()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(carry(reader, back, counts=False), carry(there, writer, counts=True))

    async with await asyncio.start_server(pass_on, "127.0.0.1", 0) as listener:
        counter.port = listener.sockets[0].getsockname()[1]
        yield counter
