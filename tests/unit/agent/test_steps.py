"""The steps of a build go into a guest's history without a write of their own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.agent.ledger import STEPS_WAIT_S, Ledger
from innkeeper.agent.store.records import GuestRecord, Life, Ready
from innkeeper.agent.store.store import Store
from innkeeper.domain.reasons import OrderOutcome
from tests.kit.agent_orders import SIGNER, guest_id, order
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually

GUEST = guest_id()
FIRST = order(epoch=1, serial=1)
RECORD = GuestRecord(
    guest_id=GUEST,
    order=SIGNER.sign(FIRST),
    rank=FIRST.rank,
    namespace=FIRST.namespace,
    name=FIRST.name,
    outcome=OrderOutcome.ACCEPTED,
    life=Life.NEW,
    ready=Ready(False, "Accepted"),
)


class CountedStore(Store):
    """Counts its commits."""

    commits = 0

    async def _write(self, work: object) -> None:
        self.commits += 1
        await super()._write(work)  # type: ignore[arg-type] # as it came


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CountedStore]:
    opened = await CountedStore.open(tmp_path / "agent.db", host="inn-a", new_id="id-1")
    assert isinstance(opened, CountedStore)
    yield opened
    await opened.close()


async def reasons(store: Store) -> list[str]:
    return [step.reason for guest in (await store.snapshot()).guests for step in guest.history]


def ledger_on(store: Store, clock: ManualClock) -> Ledger:
    return Ledger(store, clock, on_shown=lambda _guest, _urgent: None)


def show(ledger: Ledger, *shown: str) -> None:
    for reason in shown:
        ledger.show(GUEST, Ready(False, reason))


async def test_a_build_costs_two_commits_and_leaves_each_step(store: CountedStore) -> None:
    ledger = ledger_on(store, ManualClock())
    await ledger.put(RECORD, FIRST, what="Accepted Running")
    show(ledger, "Streaming", "PreparingDisk", "Starting")
    await ledger.settle(GUEST, life=Life.UP, ready=Ready(True, "Running"))
    assert store.commits == 2
    assert await reasons(store) == ["Accepted", "Streaming", "PreparingDisk", "Starting", "Running"]


async def test_another_message_of_the_same_reason_is_no_step(store: CountedStore) -> None:
    ledger = ledger_on(store, ManualClock())
    await ledger.put(RECORD, FIRST, what="Accepted Running")
    for percent in range(100):
        ledger.show(GUEST, Ready(False, "Streaming", f"{percent} %"))
    await ledger.settle(GUEST, life=Life.UP, ready=Ready(True, "Running"))
    assert await reasons(store) == ["Accepted", "Streaming", "Running"]


async def test_steps_that_nothing_takes_along_are_written_after_a_while_with_all_others(
    store: CountedStore,
) -> None:
    clock = ManualClock()
    ledger = ledger_on(store, clock)
    await ledger.put(RECORD, FIRST, what="Accepted Running")
    keeping = asyncio.create_task(ledger.keep_history())
    show(ledger, "Streaming", "ImageUnavailable", "Streaming", "ImageUnavailable")
    await eventually(lambda: clock.sleepers == 1)
    clock.advance(STEPS_WAIT_S)
    await eventually(lambda: store.commits == 2)
    assert await reasons(store) == ["Accepted", *(2 * ["Streaming", "ImageUnavailable"])]
    keeping.cancel()
    await asyncio.wait({keeping})


async def test_a_guest_that_fails_for_ever_waits_with_no_more_steps_than_are_kept(
    store: CountedStore,
) -> None:
    ledger = ledger_on(store, ManualClock())
    await ledger.put(RECORD, FIRST, what="Accepted Running")
    for number in range(1000):
        show(ledger, f"Failed{number}")
    await ledger.flush_history()
    assert await reasons(store) == [f"Failed{number}" for number in range(950, 1000)]


async def test_a_restart_begins_no_step_of_its_own(store: CountedStore) -> None:
    first = ledger_on(store, ManualClock())
    await first.put(RECORD, FIRST, what="Accepted Running")
    second = ledger_on(store, ManualClock())
    await second.load()
    await second.settle(GUEST, life=Life.UP, ready=Ready(False, "Accepted"))
    await second.flush_history()
    assert await reasons(store) == ["Accepted"]


async def test_a_destroyed_guests_steps_go_with_it(store: CountedStore) -> None:
    ledger = ledger_on(store, ManualClock())
    await ledger.put(RECORD, FIRST, what="Accepted Running")
    show(ledger, "Deleting")
    ended = order(epoch=1, serial=2, desired="Destroyed")
    await ledger.bury(ended, SIGNER.sign(ended))
    await ledger.flush_history()
    (tombstone,) = (await store.snapshot()).tombstones
    assert tombstone.order == SIGNER.sign(ended)
    assert await store._read(lambda c: c.execute("SELECT COUNT(*) FROM history").fetchone()) == (0,)
