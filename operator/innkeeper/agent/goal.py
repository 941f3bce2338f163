"""What is to become of a guest on this host: what its order asks for, unless a person at the host wants it off. Pure.

A person's word stands under an order: it can keep a guest off that shall run, and never runs one that an order wants
off, elsewhere or gone.
"""

from dataclasses import dataclass

from innkeeper.agent.plan import STOPPED
from innkeeper.agent.store.records import GuestRecord, LocalPower, LocalWish, Ready
from innkeeper.domain.orders import Order
from innkeeper.domain.reasons import Desired, GuestReason

ELSEWHERE = Ready(
    status=False,
    reason=GuestReason.SUPERSEDED,
    message="the guest lives on another host by a newer binding; its disk is kept here until it is deleted",
)


@dataclass(frozen=True)
class Goal:
    """What is wanted, and how a guest stands once it is off as it should be."""

    desired: str
    off: Ready = STOPPED


def goal_of(record: GuestRecord, order: Order) -> Goal:
    """Return what is to become of a guest."""
    if order.desired == Desired.SUPERSEDED:
        return Goal(order.desired, ELSEWHERE)
    wish = record.wish
    if order.desired == Desired.RUNNING and wish is not None and wish.power == LocalPower.STOPPED:
        return Goal(Desired.STOPPED, stopped_at_host(wish))
    return Goal(order.desired)


def stopped_at_host(wish: LocalWish) -> Ready:
    """Return how a guest stands that a person at the host stopped."""
    message = f"stopped at the host by {wish.by} at {wish.at}; `innkeeper agent start` there starts it again"
    return Ready(status=False, reason=GuestReason.STOPPED_AT_HOST, message=message)


def outlives(wish: LocalWish | None, *, held: Order, order: Order) -> LocalWish | None:
    """Return what is left of a person's wish under a newer order: nothing, where that one changes the power."""
    return wish if order.desired == held.desired else None
