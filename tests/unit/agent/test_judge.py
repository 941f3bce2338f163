"""What an order means beside what the host holds."""

from dataclasses import replace

import msgspec
import pytest

from innkeeper.agent.judge import Meaning, meaning, read_order
from innkeeper.agent.store.records import GuestRecord, Life, Ready, Tombstone
from innkeeper.domain.orders import Order, OrderInvalidError, Rank, Signer
from innkeeper.domain.reasons import OrderOutcome
from tests.kit.agent_orders import HOST, KEYS, SIGNER, STORE, guest_id, order


def held(epoch: int, serial: int, outcome: OrderOutcome = OrderOutcome.ACCEPTED) -> GuestRecord:
    return GuestRecord(
        guest_id=guest_id(),
        order=SIGNER.sign(order(epoch=epoch, serial=serial)),
        rank=Rank(epoch, serial),
        namespace="guests",
        name="web-1",
        outcome=outcome,
        life=Life.UP,
        ready=Ready(True, "Running"),
    )


REFUSED = OrderOutcome.REFUSED
TOMBSTONE = Tombstone(guest_id(), Rank(3, 2))
LEFT = replace(held(3, 1), order=SIGNER.sign(order(epoch=3, serial=1, desired="Superseded")))
DESTROYING = replace(held(2, 3), order=SIGNER.sign(order(epoch=2, serial=3, desired="Destroyed")))


@pytest.mark.parametrize(
    ("record", "tombstone", "new", "expected"),
    [
        (None, None, order(), Meaning.ADMIT),
        (None, None, order(desired="Destroyed"), Meaning.DESTROY),
        (held(2, 2), None, order(epoch=2, serial=2), Meaning.SAME),
        (held(2, 2), None, order(epoch=2, serial=2, desired="Stopped"), Meaning.SUPERSEDED),
        (held(2, 2), None, order(epoch=2, serial=2, desired="Destroyed"), Meaning.SUPERSEDED),
        (held(2, 2), None, order(epoch=2, serial=3), Meaning.UPDATE),
        (held(2, 2), None, order(epoch=2, serial=1), Meaning.SUPERSEDED),
        (held(2, 2), None, order(epoch=1, serial=9), Meaning.SUPERSEDED),
        (held(2, 2), None, order(epoch=3, serial=1), Meaning.UPDATE),
        (held(2, 2), None, order(epoch=2, serial=3, desired="Destroyed"), Meaning.DESTROY),
        (held(2, 2), None, order(epoch=2, serial=1, desired="Destroyed"), Meaning.SUPERSEDED),
        (DESTROYING, None, order(epoch=2, serial=4), Meaning.SUPERSEDED),
        (DESTROYING, None, order(epoch=3, serial=1), Meaning.SUPERSEDED),
        (DESTROYING, None, order(epoch=2, serial=4, desired="Destroyed"), Meaning.DESTROY),
        (held(2, 2, REFUSED), None, order(epoch=2, serial=3), Meaning.REFUSED_BEFORE),
        (held(2, 2, REFUSED), None, order(epoch=3, serial=1), Meaning.ADMIT),
        (held(2, 2, REFUSED), None, order(epoch=2, serial=3, desired="Destroyed"), Meaning.DESTROY),
        (None, TOMBSTONE, order(epoch=3, serial=1), Meaning.DESTROYED_BEFORE),
        (None, TOMBSTONE, order(epoch=3, serial=9), Meaning.DESTROYED_BEFORE),
        (None, TOMBSTONE, order(epoch=3, serial=9, desired="Destroyed"), Meaning.DESTROYED_BEFORE),
        (None, TOMBSTONE, order(epoch=4, serial=1), Meaning.ADMIT),
        (held(2, 2), None, order(epoch=3, serial=1, desired="Superseded"), Meaning.UPDATE),
        (held(2, 2), None, order(epoch=1, serial=9, desired="Superseded"), Meaning.SUPERSEDED),
        (None, None, order(epoch=3, desired="Superseded"), Meaning.UPDATE),
        (None, TOMBSTONE, order(epoch=3, serial=9, desired="Superseded"), Meaning.DESTROYED_BEFORE),
        (LEFT, None, order(epoch=2, serial=9), Meaning.SUPERSEDED),
        (LEFT, None, order(epoch=3, serial=2), Meaning.LIVES_ELSEWHERE),
        (LEFT, None, order(epoch=4, serial=1), Meaning.ADMIT),
        (LEFT, None, order(epoch=4, serial=1, desired="Superseded"), Meaning.UPDATE),
        (LEFT, None, order(epoch=3, serial=2, desired="Destroyed"), Meaning.DESTROY),
        (DESTROYING, None, order(epoch=3, serial=1, desired="Superseded"), Meaning.SUPERSEDED),
    ],
)
def test_orders_compare_by_epoch_and_serial(
    record: GuestRecord | None, tombstone: Tombstone | None, new: Order, expected: Meaning
) -> None:
    assert meaning(new, record, tombstone) is expected


def read(text: str, *, guest: str | None = None) -> Order:
    return read_order(text, keys=KEYS, host=HOST, store_id=STORE, guest_id=guest or guest_id())


def test_a_signed_order_for_this_guest_is_read() -> None:
    assert read(SIGNER.sign(order())) == order()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (Signer(b"\x02" * 32).sign(order()), "does not trust"),
        (SIGNER.sign(order()).replace("10.0.0.11", "10.0.0.99"), "signature"),
        (SIGNER.sign(order(host="inn-b")), "inn-b"),
        (SIGNER.sign(order(store_id="another")), "another store"),
        (SIGNER.sign(order(2)), "not for"),
        (SIGNER.sign(order(desired="Melted")), "Melted"),
        (SIGNER.sign(order(image=None)), "no image"),
        (SIGNER.sign(order(addresses=[])), "addresses"),
        (
            SIGNER.sign(order(resources=msgspec.structs.replace(order().resources, memory_bytes=0))),
            "above zero",
        ),
        (SIGNER.sign(order(resources=msgspec.structs.replace(order().resources, disk_bytes=1))), "larger"),
        ("{}", "envelope"),
    ],
)
def test_an_order_that_is_not_for_us_is_invalid(text: str, says: str) -> None:
    with pytest.raises(OrderInvalidError, match=says):
        read(text)


def test_a_guest_id_that_could_leave_its_directory_is_invalid() -> None:
    evil = "../../etc"
    with pytest.raises(OrderInvalidError):
        read(SIGNER.sign(order(guest_id=evil)), guest=evil)


def test_an_order_to_destroy_needs_no_image() -> None:
    assert read(SIGNER.sign(order(desired="Destroyed", image=None, addresses=[]))).desired == "Destroyed"
