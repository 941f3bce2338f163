"""Calls of one kind that a machine may leave unanswered: in threads of their own, one at a time about each guest.

libvirt sets a call to a QEMU that stands still no limit: it hangs until that QEMU goes on or dies, and our deadline only
stops waiting for it; a process that ends leaves it behind. Each thread has a connection of its own, since libvirt takes
no more than five requests of one connection at a time. What must be answered whatever machines do goes through
`connection` instead.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import libvirt

from innkeeper.agent.drivers.driver import HypervisorAwayError
from innkeeper.agent.drivers.libvirt.connection import DEADLINE_S, is_alive, open_connection
from innkeeper.agent.drivers.libvirt.daemon_threads import DaemonThreads

T = TypeVar("T")


class MachineSilentError(HypervisorAwayError):
    """A call about one guest was begun and is not answered; libvirt may well answer about others."""


class NotAskedError(HypervisorAwayError):
    """No thread took the call on, or none with a connection: libvirt does not know of it."""


@dataclass(frozen=True)
class _Call:
    """A call that was handed in and has not ended."""

    begun: threading.Event  # a thread took it on, and has a connection
    future: Future[Any]
    over: asyncio.Event = field(default_factory=asyncio.Event)


class GuestCalls:
    """So many calls at once, each in a thread; `name` is what its threads are called."""

    def __init__(self, uri: str, *, name: str, threads: int) -> None:
        self._uri = uri
        self._threads = DaemonThreads(most=threads, name=f"libvirt-{name}")
        self._own = threading.local()
        self._unanswered: dict[Hashable, _Call] = {}

    @property
    def unanswered(self) -> int:
        """How many calls were handed in and have not ended, those included that nobody waits for any more."""
        return len(self._unanswered)

    async def call(self, work: Callable[[Any], T], *, about: Hashable, deadline_s: float = DEADLINE_S) -> T:
        """Run `work` with a connection in a thread, once earlier calls about the same have ended.

        Raises:
            MachineSilentError: there is no answer within the deadline to this call, or to an earlier one about the same.
            NotAskedError: libvirt owes so many answers, or stands still itself, that this was not asked.
            HypervisorAwayError: libvirt cannot be reached, or went away.
            libvirt.libvirtError: libvirt answered with an error.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while (before := self._unanswered.get(about)) is not None:
                    await before.over.wait()
                return await asyncio.wrap_future(self._hand_in(work, about))
        except TimeoutError as error:
            if self.is_silent(about):
                message = f"libvirt at {self._uri} did not answer within {deadline_s:.0f} s"
                raise MachineSilentError(message) from error
            owed = sum(each.begun.is_set() for each in self._unanswered.values())
            message = f"libvirt at {self._uri} owes {owed} answers: this was not asked in {deadline_s:.0f} s"
            raise NotAskedError(message) from error

    def is_silent(self, about: Hashable) -> bool:
        """Tell whether a call about this was begun and is not answered.

        One that waits for a thread, or for its connection, was not begun.
        """
        call = self._unanswered.get(about)
        return call is not None and call.begun.is_set()

    def close(self) -> None:
        """Begin nothing more. A call that hangs is left behind, also where the process ends."""
        self._threads.shutdown()

    def _hand_in(self, work: Callable[[Any], T], about: Hashable) -> Future[T]:
        loop, begun = asyncio.get_running_loop(), threading.Event()
        future = self._threads.submit(self._run, work, begun)
        self._unanswered[about] = _Call(begun, future)
        future.add_done_callback(lambda _: self._ended(loop, about))
        return future

    def _ended(self, loop: asyncio.AbstractEventLoop, about: Hashable) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._let_next, about)

    def _let_next(self, about: Hashable) -> None:
        self._unanswered.pop(about).over.set()

    def _run(self, work: Callable[[Any], T], begun: threading.Event) -> T:
        connection = self._connection()
        begun.set()
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
