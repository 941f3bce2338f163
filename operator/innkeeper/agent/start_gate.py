"""Whether guests that are off may be started yet: after a start of the agent, newer orders are looked for first.

The gate opens once the API server's orders for this host were listed and each of them was read, or when the grace is
over: a minute later still where the API server answers something, or another agent of this host may be alive. A
connection that is refused opens nothing: an API server whose power came back with the host's listens a little later.
Guests that run are not its business, nor is anything once it is open: an API server that goes away later holds
nothing up.

A store that was put back from a copy may lack an order to destroy, or one that says that a guest lives elsewhere. So a
guest whose order names another store than this one starts only by a newer order, or by a person's word.
"""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from innkeeper.agent.ledger import HeldGuest
from innkeeper.agent.store.records import LocalPower, Ready
from innkeeper.clock import Clock
from innkeeper.domain.reasons import GuestReason
from innkeeper.kube.informer import LAST_BACKOFF_S

log = structlog.get_logger(__name__)

_LOOKS_EACH_S = 3.0  # for an API server that does not answer, while guests wait
_LONGEST_MORE_S = 60  # an API server that went away meanwhile settles nothing
_OF_A_COPY = (
    "the host's store was put back from a copy, and no order was read since for this guest: the operator gives one, or "
    "`innkeeper agent start` at the host starts it by the copy"
)


class StartGate:
    """One host's gate. `on_open` is called once."""

    def __init__(
        self, clock: Clock, *, store_id: str, grace_s: float, on_open: Callable[[], None], trusts_copy: bool
    ) -> None:
        self.is_open = False
        self._clock = clock
        self._store_id = store_id
        self._grace_s = grace_s
        self._on_open = on_open
        self._trusts_copy = trusts_copy  # a person said that guests start by what a copy holds
        self._unread: set[str] = set()
        self._all_read = asyncio.Event()
        self._all_read.set()

    def hold(self, guest: HeldGuest) -> Ready | None:
        """Return how a guest stands that must not be started yet, or None where it may."""
        wish = guest.record.wish
        is_wanted = wish is not None and wish.power == LocalPower.RUNNING
        if guest.order.store_id != self._store_id and not (self._trusts_copy or is_wanted):
            return _waiting(_OF_A_COPY)
        if not self.is_open:
            return _waiting(
                f"the agent has started and looks for newer orders first, for {self._grace_s:.0f} s, and a minute "
                "more at most while the API server answers"
            )
        return None

    def longest_pause_s(self) -> float:
        """Return how long the API server may be left alone that does not answer: short while guests wait for it."""
        return LAST_BACKOFF_S if self.is_open else _LOOKS_EACH_S

    def arrived(self, key: str) -> None:
        """Something was listed that must be read first."""
        if not self.is_open:
            self._unread.add(key)
            self._all_read.clear()

    def read(self, key: str) -> None:
        """It was read. One whose reading failed counts, too: it is not started before it was read."""
        self._unread.discard(key)
        if not self._unread:
            self._all_read.set()

    async def run(self, listed: Iterable[asyncio.Event], *, is_unsettled: Callable[[], bool]) -> None:
        """Open the gate when it is time.

        `listed` are set once what the API server holds is known. The grace does not open it while `is_unsettled` says
        that the API server answers, or that another agent of this host may be alive.
        """
        ways = {
            asyncio.create_task(self._compared(listed), name="compared"),
            asyncio.create_task(self._grace(is_unsettled), name="grace is over"),
        }
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ways:
                each.cancel()
        self.is_open = True
        log.info("starts_allowed", because=sorted(each.get_name() for each in done))
        self._on_open()

    async def _grace(self, is_unsettled: Callable[[], bool]) -> None:
        await self._clock.sleep(self._grace_s)
        for _ in range(_LONGEST_MORE_S):
            if not is_unsettled():
                return
            await self._clock.sleep(1)

    async def _compared(self, listed: Iterable[asyncio.Event]) -> None:
        for event in listed:
            await event.wait()
        await self._all_read.wait()


def _waiting(message: str) -> Ready:
    return Ready(status=False, reason=GuestReason.WAITING_FOR_ORDERS, message=message)
