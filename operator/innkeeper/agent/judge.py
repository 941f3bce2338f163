"""What an order means to this host, given what it holds of that Guest ID. Pure.

Orders compare by (epoch, serial). A lower one is never obeyed, a refusal is final for its epoch, and a guest that was
destroyed stays so for the epoch of its tombstone and all earlier ones.
"""

from collections.abc import Mapping
from enum import Enum, auto

from innkeeper.agent import refusals
from innkeeper.agent.paths import is_guest_id
from innkeeper.agent.store.records import GuestRecord, Tombstone
from innkeeper.domain import orders
from innkeeper.domain.orders import Order, OrderInvalidError, Rank
from innkeeper.domain.reasons import Desired, OrderOutcome

MAX_ADDRESSES = 16


class Meaning(Enum):
    """What is to be done with an order."""

    ADMIT = auto()  # new here: can the promise be kept?
    UPDATE = auto()  # a change to a guest that is here
    SAME = auto()  # what is held already
    SUPERSEDED = auto()  # something higher is held
    REFUSED_BEFORE = auto()  # another serial of an epoch that was refused
    LIVES_ELSEWHERE = auto()  # only a higher epoch brings it back
    DESTROY = auto()
    DESTROYED_BEFORE = auto()


def read_order(text: str, *, keys: Mapping[str, bytes], host: str, store_id: str, guest_id: str) -> Order:
    """Return the order if it is signed, complete and meant for this guest on this host and store.

    Raises:
        OrderInvalidError: with what is wrong.
    """
    order = orders.verify(text, keys)
    if order.host != host:
        raise OrderInvalidError(f"the order is for the host {order.host[:63]!r}, not for {host!r}")
    if order.store_id != store_id:
        raise OrderInvalidError(
            "the order is for another store of this host: its agent's database was replaced"
        )
    if order.guest_id != guest_id or not is_guest_id(guest_id):
        raise OrderInvalidError(
            f"the order is for the guest {order.guest_id[:63]!r}, not for {guest_id[:63]!r}"
        )
    if order.desired not in set(Desired):
        raise OrderInvalidError(f"the order asks for {order.desired[:63]!r}, which this agent does not know")
    if order.desired not in {Desired.DESTROYED, Desired.SUPERSEDED}:
        _check_buildable(order)
    return order


def meaning(order: Order, record: GuestRecord | None, tombstone: Tombstone | None) -> Meaning:
    """Return what the order means beside what is held."""
    destroys = order.desired == Desired.DESTROYED
    if record is None:
        if tombstone is not None and order.epoch <= tombstone.rank.epoch:
            return Meaning.DESTROYED_BEFORE
        if order.desired == Desired.SUPERSEDED:
            return Meaning.UPDATE  # nothing of it is here; kept, so that no older order brings it
        return Meaning.DESTROY if destroys else Meaning.ADMIT
    if order.rank <= record.rank:
        return Meaning.SAME if _is_held(order, record) else Meaning.SUPERSEDED
    return Meaning.DESTROY if destroys else _beside(order, record)


def _beside(order: Order, record: GuestRecord) -> Meaning:
    """Return what a higher order, which is none to destroy, means beside the one that is held."""
    held = orders.peek(record.order).desired
    if held == Desired.DESTROYED:
        # Under way, and final: nothing is built before it is over. The tombstone then decides.
        return Meaning.SUPERSEDED
    if order.desired == Desired.SUPERSEDED:
        return Meaning.UPDATE
    if held == Desired.SUPERSEDED:
        # It gave up capacity and addresses here, so it is asked anew whether it fits.
        return Meaning.ADMIT if order.epoch > record.rank.epoch else Meaning.LIVES_ELSEWHERE
    if record.outcome == OrderOutcome.REFUSED:
        return Meaning.REFUSED_BEFORE if order.epoch == record.rank.epoch else Meaning.ADMIT
    return Meaning.UPDATE


def held_rank(record: GuestRecord | None, tombstone: Tombstone | None) -> Rank | None:
    """Return the highest rank that the host holds."""
    if record is not None:
        return record.rank
    return None if tombstone is None else tombstone.rank


def _is_held(order: Order, record: GuestRecord) -> bool:
    """Tell whether this very order is held: one that was made again after a loss may say something else in that rank."""
    told = refusals.remnant(order) if record.outcome == OrderOutcome.REFUSED else order
    return order.rank == record.rank and orders.peek(record.order) == told


def _check_buildable(order: Order) -> None:
    if order.image is None:
        raise OrderInvalidError("the order names no image")
    if not order.addresses or len(order.addresses) > MAX_ADDRESSES:
        raise OrderInvalidError(
            f"the order has {len(order.addresses)} addresses; 1 to {MAX_ADDRESSES} can be used"
        )
    amounts = order.resources
    if min(amounts.cpu_millis, amounts.memory_bytes, amounts.disk_bytes) <= 0:
        raise OrderInvalidError("the order's CPU, memory and disk must be above zero")
    if order.image.virtual_size > amounts.disk_bytes:
        raise OrderInvalidError("the order's image is larger than its disk")
