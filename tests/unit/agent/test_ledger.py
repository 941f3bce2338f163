"""What is kept is what is held: a late note of how a guest stands never brings an older order back."""

import asyncio
from pathlib import Path

from innkeeper.agent.ledger import Ledger
from innkeeper.agent.store.records import GuestRecord, Life, Ready
from innkeeper.agent.store.store import Store
from innkeeper.clock import SystemClock
from innkeeper.domain.orders import Order
from innkeeper.domain.reasons import OrderOutcome
from tests.kit.agent_orders import SIGNER, guest_id, order


def record(said: Order) -> GuestRecord:
    return GuestRecord(
        guest_id=guest_id(),
        order=SIGNER.sign(said),
        rank=said.rank,
        namespace=said.namespace,
        name=said.name,
        outcome=OrderOutcome.ACCEPTED,
        life=Life.NEW,
        ready=Ready(False, "Accepted"),
    )


async def test_a_note_beside_a_newer_order_keeps_the_newer_order(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-1")
    ledger = Ledger(store, SystemClock(), on_shown=lambda _guest, _urgent: None)
    first, second = order(epoch=1, serial=1), order(epoch=1, serial=2, desired="Destroyed")
    await ledger.put(record(first), first, what="accepted")

    await asyncio.gather(
        ledger.put(record(second), second, what="changed"),
        ledger.settle(guest_id(), life=Life.UP, ready=Ready(True, "Running")),
    )

    kept = await store.guests()
    await store.close()
    held = ledger.get(guest_id())
    assert held is not None
    assert [each.rank for each in kept] == [second.rank] == [held.record.rank]
    assert kept[0].life is Life.UP
