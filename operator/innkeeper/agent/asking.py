"""Asks the wire for the addresses of guests that are new here, before they are accepted.

A question takes a moment, so it runs beside everything else: a guest is looked at again when its answer is there, and
those of all guests that come before it: who is answered first is not who came first.

Silence is an answer, a question that nobody heard is none. A wire that cannot be asked, such as a bridge that is down
while the host's networking starts again, is asked for a few seconds more; then the guest is refused for that.
A bridge that is up and has no carrier can be asked: a network that ends at this host is one, too.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from innkeeper.agent.admission import Unasked
from innkeeper.agent.net.network import HostNet
from innkeeper.agent.store.records import AddressInUse
from innkeeper.clock import Clock
from innkeeper.domain.orders import Order, Rank
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError
from innkeeper.views.host import Network

log = structlog.get_logger()

TRIES = 6
AGAIN_S = 2.0  # between two of them

Answer = AddressInUse | Unasked | None

Turn = tuple[
    int, str
]  # what guests that are to be admitted compare by: epoch, and when the Assignment was made


@dataclass
class _Question:
    """One guest's question; `rank` is that of the order that it was asked for.

    `behind` are the guests before it whose answers are not there yet: those alone that were asked about by the time
    that its own answer came, so that nobody waits for guests that come without end.
    """

    rank: Rank
    turn: Turn
    task: asyncio.Task[Answer]
    behind: set[str] = field(default_factory=set)


class Asking:
    """The questions that were asked and not used yet. `wake` has a guest looked at again."""

    def __init__(self, network: HostNet, *, clock: Clock, wake: Callable[[str], None]) -> None:
        self._network = network
        self._clock = clock
        self._wake = wake
        self._questions: dict[str, _Question] = {}

    def is_asked(self, order: Order, network: Network, *, created: str) -> bool:
        """Tell whether an order's turn has come, with its answer; ask the wire where nobody did.

        `created` is when the Assignment was made, as the API server says it.
        """
        found = self._questions.get(order.guest_id)
        if found is None or found.rank != order.rank:
            task = asyncio.create_task(self._ask(order, network), name=f"ask {order.guest_id}")
            self._questions[order.guest_id] = asked = _Question(order.rank, (order.epoch, created), task)
            task.add_done_callback(lambda _: self._answered(order.guest_id, asked))
            return False
        return found.task.done() and not found.behind

    def take(self, order: Order) -> Answer:
        """Return the answer; the next order asks anew."""
        found = self._questions.pop(order.guest_id, None)
        if found is None or not found.task.done() or found.task.cancelled():
            return None
        return found.task.result()

    async def close(self) -> None:
        """Ask no more."""
        tasks = [each.task for each in self._questions.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _answered(self, guest_id: str, question: _Question) -> None:
        """Have the guest looked at, and those that waited for it alone."""
        question.behind = {
            name
            for name, each in self._questions.items()
            if each.turn < question.turn and not each.task.done()
        }
        if not question.behind:
            self._wake(guest_id)
        for name, each in self._questions.items():
            if guest_id in each.behind:
                each.behind.discard(guest_id)
                if not each.behind:
                    self._wake(name)

    async def _ask(self, order: Order, network: Network) -> Answer:
        for left in reversed(range(TRIES)):
            try:
                return await self._network.conflict(order, network)
            except InnkeeperError as error:
                log.warning("wire_not_asked", guest=order.guest_id, message=error.message)
                unasked = Unasked(error.message)
                if not error.retryable or error.reason == GuestReason.BRIDGE_MISSING:
                    break  # the order is refused for that at once
            except Exception:
                log.exception("wire_not_asked", guest=order.guest_id)
                unasked = Unasked("the agent's log says why")
            if left:
                await self._clock.sleep(AGAIN_S)
        return unasked
