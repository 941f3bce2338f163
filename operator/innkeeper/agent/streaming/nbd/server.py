"""The server: a Unix socket, and for each client the requests that it sends.

A request that has to wait for bytes never holds up another one. What fails is told to the client as an I/O error, and to
nobody else.
"""

import asyncio
import contextlib
import socket
from pathlib import Path

import structlog

from innkeeper.agent.streaming.nbd import wire
from innkeeper.agent.streaming.nbd.connection import ClosedError, Connection
from innkeeper.agent.streaming.nbd.export import Export, Exports, InFile, ReadFailedError
from innkeeper.agent.streaming.nbd.negotiation import MAX_READ, Agreed, Negotiation
from innkeeper.agent.streaming.nbd.wire import Command, Error, Extent, Request, WireError
from innkeeper.agent.streaming.socket_access import SocketAccess

log = structlog.get_logger(__name__)

MAX_CLIENTS = 1024
MAX_WAITING = 64  # requests of one client that wait for bytes
NEGOTIATION_S = 30.0  # in all, however a client spreads its words; who has agreed may be silent for ever
ACCEPT_PAUSE_S = 0.2
MAX_EXTENTS = 1024  # of one answer about block status


class NbdServer:
    """Serves exports on a Unix socket, to those who may enter it and know an export's name."""

    def __init__(
        self,
        path: Path,
        exports: Exports,
        *,
        access: SocketAccess,
        negotiation_s: float = NEGOTIATION_S,
    ) -> None:
        self._path = path
        self._access = access
        self._negotiation_s = negotiation_s
        self._exports = exports
        self._clients: dict[asyncio.Task[None], str | None] = {}

    async def run(self) -> None:
        """Serve until it is cancelled."""
        loop = asyncio.get_running_loop()
        self._path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(self._path))
            self._access.give(self._path)  # nobody gets in before `listen`
            listening.listen(128)
            listening.setblocking(False)
            try:
                while True:
                    try:
                        accepted, _ = await loop.sock_accept(listening)
                    except OSError as error:  # too many open files, for example: others are served on
                        log.warning("nbd_accept", error=error.strerror)
                        await asyncio.sleep(ACCEPT_PAUSE_S)
                        continue
                    self._take(accepted)
            finally:
                await self._hang_up(list(self._clients))

    def clients(self, name: str) -> int:
        """Return how many clients read an export."""
        return sum(export == name for export in self._clients.values())

    async def drop(self, name: str) -> None:
        """Hang up on who reads an export."""
        await self._hang_up([task for task, export in self._clients.items() if export == name])

    def _take(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        if len(self._clients) >= MAX_CLIENTS:
            log.warning("nbd_client_refused", clients=len(self._clients))
            accepted.close()
            return
        task = asyncio.create_task(self._serve(Connection(accepted)))
        self._clients[task] = None
        task.add_done_callback(self._clients.pop)

    async def _serve(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._negotiation_s):
                negotiation = Negotiation(connection, self._exports)
                chosen = await negotiation.run()
            if chosen is not None:
                name, export = chosen
                self._clients[_this_task()] = name
                await _Session(connection, name, export, negotiation.agreed).run()
        except (ClosedError, OSError):
            pass  # a client may go whenever it likes
        except (WireError, TimeoutError) as error:
            log.warning("nbd_client_wrong", error=str(error) or "it says nothing")
        finally:
            connection.close()

    @staticmethod
    async def _hang_up(tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Session:
    """The requests of one client, to one export."""

    def __init__(self, connection: Connection, name: str, export: Export, agreed: Agreed) -> None:
        self._connection = connection
        self._name = name
        self._export = export
        self._structured = agreed.structured
        self._tells_status = agreed.status_of == name
        self._waiting: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the client goes."""
        try:
            while True:
                request = wire.read_request(await self._connection.read(wire.REQUEST_BYTES))
                if request.command == Command.DISCONNECT:
                    return
                await self._handle(request)
        finally:
            for task in self._waiting:
                task.cancel()
            await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _handle(self, request: Request) -> None:
        match request.command:
            case Command.READ:
                await self._read(request)
            case Command.BLOCK_STATUS if self._tells_status:
                await self._status(request)
            case Command.FLUSH:
                await self._done(request)
            case Command.WRITE:
                # The data of a write follow it: they would have to be taken in to be refused.
                raise WireError("the client writes to a read-only export")
            case Command.BLOCK_STATUS:
                await self._refuse(request, Error.INVALID)
            case _:
                await self._refuse(request, Error.NOT_PERMITTED)

    async def _read(self, request: Request) -> None:
        if not 0 < request.length <= MAX_READ or request.offset + request.length > self._export.size:
            await self._refuse(request, Error.INVALID)
            return
        found = self._export.at_hand(request.offset, request.length)
        if found is not None:
            await self._send(request, found)
            return
        while len(self._waiting) >= MAX_WAITING:
            await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._read_later(request))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _read_later(self, request: Request) -> None:
        # Of the socket: the reader of requests finds out as well.
        with contextlib.suppress(ClosedError, OSError):
            try:
                found = await self._export.read(request.offset, request.length)
            except (ReadFailedError, OSError) as error:
                await self._fail(request, error)
            else:
                await self._send(request, found)

    async def _send(self, request: Request, found: InFile | bytes) -> None:
        head = wire.data_head(request) if self._structured else wire.simple_reply(request.cookie)
        if self._structured and isinstance(found, InFile) and found.is_zero:
            await self._connection.send(wire.hole_chunk(request))
        elif isinstance(found, bytes):
            await self._connection.send(head, found)
        else:
            try:
                await self._connection.send_file(
                    head, found.file, offset=request.offset, count=request.length
                )
            except ReadFailedError as error:
                await self._fail(request, error)

    async def _fail(self, request: Request, error: ReadFailedError | OSError) -> None:
        """Answer that bytes cannot be had: QEMU waits for an answer for ever."""
        where = {"offset": request.offset, "length": request.length}
        log.warning("nbd_read_failed", export=self._name, **where, error=str(error))
        await self._refuse(request, Error.IO)

    async def _status(self, request: Request) -> None:
        if not request.length or request.offset + request.length > self._export.size:
            await self._refuse(request, Error.INVALID)
            return
        extents = [
            (length, Extent.HOLE | Extent.ZERO if is_zero else Extent(0))
            for length, is_zero in self._export.extents(request.offset, request.length)
        ][: 1 if request.wants_one else MAX_EXTENTS]
        await self._connection.send(wire.status_chunk(request.cookie, extents))

    async def _done(self, request: Request) -> None:
        reply = wire.none_chunk if self._structured else wire.simple_reply
        await self._connection.send(reply(request.cookie))

    async def _refuse(self, request: Request, error: Error) -> None:
        if self._structured:
            await self._connection.send(wire.error_chunk(request.cookie, error))
        else:
            await self._connection.send(wire.simple_reply(request.cookie, error))


def _this_task() -> "asyncio.Task[None]":
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a client is served outside a task")
    return task
