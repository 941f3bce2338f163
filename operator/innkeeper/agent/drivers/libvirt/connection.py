"""The way to libvirt: blocking calls in threads, events from libvirt's own loop, a new connection when one breaks.

It is for calls that libvirt answers whatever machines do; those that a machine may leave unanswered have threads of their
own (`guest_calls`). libvirt's default event loop runs in one daemon thread. Nothing here knows what a guest is.
"""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt
import structlog

from innkeeper.agent.drivers.driver import DriverError, HypervisorAwayError
from innkeeper.agent.drivers.libvirt.daemon_threads import DaemonThreads

T = TypeVar("T")

log = structlog.get_logger()

DEADLINE_S = 60.0
FIRST_BACKOFF_S = 0.5
LAST_BACKOFF_S = 15.0
KEEPALIVE_S, KEEPALIVE_COUNT = 5, 3
_THREADS = 4  # libvirt takes five requests of one connection at a time, and its sign of life is one


@functools.cache
def start_event_loop() -> None:
    """Run libvirt's event loop in a thread that ends with the process. libvirt allows one for each process."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)  # errors are raised; none is printed
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_run_events, name="libvirt-events", daemon=True).start()


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def open_connection(uri: str) -> Any:
    """Return a new connection that ends by itself where libvirt is silent. Blocking.

    Raises:
        libvirt.libvirtError: libvirt cannot be reached.
    """
    start_event_loop()
    connection = libvirt.open(uri)
    connection.setKeepAlive(KEEPALIVE_S, KEEPALIVE_COUNT)
    return connection


def is_alive(connection: Any) -> bool:
    """Tell whether a connection has not ended."""
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


class Connection:
    """A connection that is made when it is needed, and made again in the background after it broke."""

    def __init__(
        self,
        uri: str,
        *,
        on_domain: Callable[[str], None],
        on_connected: Callable[[], None],
    ) -> None:
        self._uri = uri
        self._on_domain = on_domain
        self._on_connected = on_connected
        self._connection: Any = None
        self._lock = asyncio.Lock()
        self._threads = DaemonThreads(most=_THREADS, name="libvirt")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._closed = False

    async def call(self, work: Callable[[Any], T], *, deadline_s: float = DEADLINE_S) -> T:
        """Run `work` with the connection in a thread.

        Raises:
            HypervisorAwayError: libvirt cannot be reached, went away, or does not answer within the deadline.
            libvirt.libvirtError: libvirt answered with an error.
        """
        connection = await self._connected()
        try:
            return await self._in_thread(lambda: work(connection), deadline_s=deadline_s)
        except libvirt.libvirtError as error:
            if not await self._in_thread(lambda: is_alive(connection), deadline_s=deadline_s):
                self._lost(connection)
                raise HypervisorAwayError(f"libvirt at {self._uri} went away: {error}") from error
            raise

    async def close(self) -> None:
        """Let go of libvirt."""
        self._closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(libvirt.libvirtError, DriverError):
                await self._in_thread(connection.close, deadline_s=5)
        self._threads.shutdown()

    async def _connected(self) -> Any:
        async with self._lock:
            if self._connection is None:
                try:
                    self._connection = await self._in_thread(self._open, deadline_s=DEADLINE_S)
                except libvirt.libvirtError as error:
                    self._reconnect()
                    raise HypervisorAwayError(f"libvirt at {self._uri} cannot be reached: {error}") from error
                self._on_connected()
            return self._connection

    def _open(self) -> Any:
        connection = open_connection(self._uri)
        connection.registerCloseCallback(
            lambda conn, _reason, _opaque: self._from_libvirt(self._lost, conn), None
        )
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._lifecycle, None)
        return connection

    def _lifecycle(self, _connection: Any, domain: Any, _event: int, _detail: int, _opaque: Any) -> None:
        self._from_libvirt(self._on_domain, domain.name())

    def _from_libvirt(self, tell: Callable[[Any], None], what: Any) -> None:
        """Carry news from libvirt's thread into ours."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(tell, what)

    def _lost(self, connection: Any) -> None:
        if connection is self._connection and not self._closed:
            log.warning("libvirt_lost", uri=self._uri)
            self._connection = None
            self._reconnect()

    def _reconnect(self) -> None:
        if not self._closed and (self._reconnecting is None or self._reconnecting.done()):
            self._reconnecting = asyncio.ensure_future(self._keep_trying())

    async def _keep_trying(self) -> None:
        delay = FIRST_BACKOFF_S
        while self._connection is None:
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_BACKOFF_S)
            with contextlib.suppress(DriverError):
                await self._connected()

    async def _in_thread(self, work: Callable[[], T], *, deadline_s: float) -> T:
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(deadline_s):
                return await self._loop.run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise HypervisorAwayError(
                f"libvirt at {self._uri} did not answer within {deadline_s:.0f} s"
            ) from error
