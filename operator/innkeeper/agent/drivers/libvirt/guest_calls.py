"""Calls that one machine may leave unanswered: in threads of their own, at most one such call about each guest.

libvirt sets a call to a QEMU that stands still no limit: it hangs until that QEMU goes on or dies, and our deadline only
stops waiting for it. Each thread has a connection of its own, since libvirt takes no more than five requests of one
connection at a time. What must be answered whatever machines do goes through `connection` instead.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import libvirt

from innkeeper.agent.drivers.driver import HypervisorAwayError
from innkeeper.agent.drivers.libvirt.connection import DEADLINE_S, is_alive, open_connection

T = TypeVar("T")


class MachineSilentError(HypervisorAwayError):
    """There is no answer about one guest; libvirt may well answer about others."""


class GuestCalls:
    """So many calls at once, each in a thread; `name` is what its threads are called."""

    def __init__(self, uri: str, *, name: str, threads: int) -> None:
        self._uri = uri
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=f"libvirt-{name}")
        self._own = threading.local()
        self._unanswered: dict[Hashable, asyncio.Event] = {}

    @property
    def unanswered(self) -> int:
        """How many calls were begun and have not ended, those included that nobody waits for any more."""
        return len(self._unanswered)

    async def call(self, work: Callable[[Any], T], *, about: Hashable, deadline_s: float = DEADLINE_S) -> T:
        """Run `work` with a connection in a thread, once earlier calls about the same have ended.

        Raises:
            MachineSilentError: there is no answer within the deadline, in which it also waits for its turn.
            HypervisorAwayError: libvirt cannot be reached, or went away.
            libvirt.libvirtError: libvirt answered with an error.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while (before := self._unanswered.get(about)) is not None:
                    await before.wait()
                return await asyncio.wrap_future(self._begin(work, about))
        except TimeoutError as error:
            raise MachineSilentError(
                f"libvirt at {self._uri} did not answer within {deadline_s:.0f} s"
            ) from error

    def close(self) -> None:
        """Begin nothing more. A call that hangs is left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, work: Callable[[Any], T], about: Hashable) -> Future[T]:
        loop = asyncio.get_running_loop()
        call = self._threads.submit(self._run, work)
        self._unanswered[about] = asyncio.Event()
        call.add_done_callback(lambda _: self._ended(loop, about))
        return call

    def _ended(self, loop: asyncio.AbstractEventLoop, about: Hashable) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: self._unanswered.pop(about).set())

    def _run(self, work: Callable[[Any], T]) -> T:
        connection = self._connection()
        try:
            return work(connection)
        except libvirt.libvirtError as error:
            if is_alive(connection):
                raise
            raise HypervisorAwayError(f"libvirt at {self._uri} went away: {error}") from error

    def _connection(self) -> Any:
        """Return this thread's own connection, made anew where it broke."""
        mine = getattr(self._own, "connection", None)
        if mine is None or not is_alive(mine):
            try:
                mine = self._own.connection = open_connection(self._uri)
            except libvirt.libvirtError as error:
                raise HypervisorAwayError(f"libvirt at {self._uri} cannot be reached: {error}") from error
        return mine
