"""Listens for the operator, on a socket of its own, with certificates that may change while it listens.

It accepts by itself, so that what comes is bounded before TLS begins: few handshakes at once, each with a deadline, few
connections, each with a longest life. What goes wrong here is told and tried again; it ends nothing else of the agent.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address

import structlog
from aiohttp import web

from innkeeper.agent.figures import AgentFigures
from innkeeper.agent.host_api.certificates import ServerTls, TlsFiles
from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 10.0
MAX_CONNECTIONS = 8
MAX_HANDSHAKES = 8
HANDSHAKE_WITHIN_S = 10.0
LONGEST_LIFE_S = 300.0
IDLE_FOR_S = 60.0
_MAX_LINE = 4096  # bytes of a request's first line, and of each header
_MAX_HEADERS = 32
_AGAIN_AFTER_S = 30.0
_PAUSE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class ListenAt:
    """Where to listen, with what, and which address to report (`host` or `host:port`; None: where it listens)."""

    listen: str
    port: int
    files: TlsFiles
    reported: str | None = None

    def address(self, port: int) -> str:
        """Return the address to report, as `host:port`, given the port that is really listened on."""
        host = self.reported or (f"[{self.listen}]" if ":" in self.listen else self.listen)
        return host if ":" in host.rpartition("]")[2] else f"{host}:{port}"


class HostApiListener:
    """Listens while `run` runs. `address` is what to report while it does, `trouble` why it does not."""

    def __init__(
        self,
        application: Callable[[], web.Application],
        at: ListenAt,
        *,
        figures: AgentFigures,
        clock: Clock,
        on_change: Callable[[], None],
    ) -> None:
        self._application = application
        self._at = at
        self._figures = figures
        self._clock = clock
        self._on_change = on_change
        self._tls = ServerTls(at.files)
        self._handshakes: set[asyncio.Task[None]] = set()
        self.address: str | None = None
        self.trouble: str | None = "it does not listen yet"

    async def run(self) -> None:
        """Listen for ever; where that cannot be done, try again."""
        while True:
            try:
                self._tls.refresh()
                with closing(_bound(self._at)) as listening:
                    await self._serve(listening)
            except (InnkeeperError, OSError) as error:
                self._note(None, f"the host API cannot listen at {self._at.listen}:{self._at.port}: {error}")
            except Exception:
                log.exception("host_api_broke")
                self._note(None, "the host API broke; the agent's log says why")
            await self._clock.sleep(_AGAIN_AFTER_S)

    async def _serve(self, listening: socket.socket) -> None:
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            keepalive_timeout=IDLE_FOR_S,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            max_headers=_MAX_HEADERS,
        )
        await runner.setup()
        server = runner.server
        assert server is not None  # noqa: S101 - `setup` made it
        try:
            self._note(self._at.address(int(listening.getsockname()[1])), None)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._accept(listening, server))
                tasks.create_task(self._look(server))
        finally:
            self._end(server)
            await runner.cleanup()

    async def _accept(self, listening: socket.socket, server: web.Server) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:  # too many open files, for example
                log.warning("host_api_not_accepted", message=str(error))
                await self._clock.sleep(_PAUSE_S)
                continue
            if len(self._handshakes) >= MAX_HANDSHAKES or len(server.connections) >= MAX_CONNECTIONS:
                self._refused("TooMany")
                connection.close()
                continue
            task = asyncio.create_task(self._greet(connection, server))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _greet(self, connection: socket.socket, server: web.Server) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(
                server,
                connection,
                ssl=self._tls.context,
                ssl_handshake_timeout=HANDSHAKE_WITHIN_S,
                ssl_shutdown_timeout=HANDSHAKE_WITHIN_S,
            )
        except OSError as error:
            # No certificate, another authority's, one that is over; or nothing was said in time.
            connection.close()
            self._refused("Handshake")
            log.info("host_api_handshake_failed", message=str(error))
            return
        loop.call_later(LONGEST_LIFE_S, transport.close)

    async def _look(self, server: web.Server) -> None:
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            try:
                changed = self._tls.refresh()
            except InnkeeperError as error:
                self._note(self.address, f"the host API goes on with its old certificate: {error.message}")
                continue
            self._note(self.address, None)
            if changed:
                log.info("host_api_certificate_read")
                self._end(server)  # who came by the old files comes again by the new ones

    def _end(self, server: web.Server) -> None:
        for handshake in self._handshakes:
            handshake.cancel()
        for connection in server.connections:
            connection.force_close()

    def _refused(self, why: str) -> None:
        self._figures.api_refused.labels(why).inc()

    def _note(self, address: str | None, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            log.warning("host_api_trouble", message=trouble)
        self.trouble = trouble
        if address != self.address:
            self.address = address
            self._on_change()


def _bound(at: ListenAt) -> socket.socket:
    family = socket.AF_INET6 if ip_address(at.listen).version == 6 else socket.AF_INET  # noqa: PLR2004 - IPv6
    listening = socket.create_server((at.listen, at.port), family=family, backlog=2 * MAX_CONNECTIONS)
    listening.setblocking(False)
    return listening
