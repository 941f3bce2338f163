"""Asks the wire for the addresses of guests that are new here, before they are accepted.

A question takes a moment, so it runs beside everything else: a guest is looked at again when its answer is there.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from innkeeper.agent.net.network import HostNet
from innkeeper.agent.store.records import AddressInUse
from innkeeper.domain.orders import Order, Rank
from innkeeper.errors import InnkeeperError
from innkeeper.views.host import Network

log = structlog.get_logger()


@dataclass
class _Question:
    """One guest's question; `rank` is that of the order that it was asked for."""

    rank: Rank
    task: asyncio.Task[AddressInUse | None]


class Asking:
    """The questions that were asked and not used yet. `wake` has a guest looked at again."""

    def __init__(self, network: HostNet, *, wake: Callable[[str], None]) -> None:
        self._network = network
        self._wake = wake
        self._questions: dict[str, _Question] = {}

    def is_asked(self, order: Order, network: Network) -> bool:
        """Tell whether the answer for an order is there; ask for it where nobody did."""
        found = self._questions.get(order.guest_id)
        if found is None or found.rank != order.rank:
            task = asyncio.create_task(self._ask(order, network), name=f"ask {order.guest_id}")
            task.add_done_callback(lambda _: self._wake(order.guest_id))
            self._questions[order.guest_id] = _Question(order.rank, task)
            return False
        return found.task.done()

    def take(self, order: Order) -> AddressInUse | None:
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

    async def _ask(self, order: Order, network: Network) -> AddressInUse | None:
        try:
            return await self._network.conflict(order, network)
        except (InnkeeperError, OSError) as error:
            # Where there is no such bridge the order is refused for that; silence never holds a guest up.
            log.warning("wire_not_asked", guest=order.guest_id, message=str(error))
        except Exception:
            log.exception("wire_not_asked", guest=order.guest_id)
        return None
