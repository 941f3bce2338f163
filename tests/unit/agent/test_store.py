"""The agent's database."""

import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from innkeeper.agent.store import rows
from innkeeper.agent.store.opening import StoreOfAnotherHostError
from innkeeper.agent.store.records import GuestRecord, Life, LocalPower, LocalWish, Ready, Tombstone
from innkeeper.agent.store.store import Store
from innkeeper.domain.host_store import Step
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OrderOutcome

AT = "2026-01-01T00:00:00Z"
RECORD = GuestRecord(
    guest_id="g1",
    order="signed",
    rank=Rank(2, 3),
    namespace="guests",
    name="web",
    outcome=OrderOutcome.ACCEPTED,
    life=Life.UP,
    ready=Ready(False, "Crashed", "it crashed"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "agent.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(path, host="inn-a", new_id="id-1")
    yield opened
    await opened.close()


async def reopened(path: Path) -> Store:
    return await Store.open(path, host="inn-a", new_id="id-2")


async def test_what_was_put_is_there_after_a_restart(store: Store, path: Path) -> None:
    await store.put(RECORD, what="Accepted", at=AT)
    await store.put(replace(RECORD, life=Life.OFF), what="Stopped", at=AT)
    again = await reopened(path)
    assert await again.guests() == [replace(RECORD, life=Life.OFF)]
    assert again.store_id == "id-1", "an ID is made once"
    await again.close()


async def test_a_person_s_wish_and_the_age_of_the_promise_are_kept(store: Store, path: Path) -> None:
    wished = replace(RECORD, accepted_at=AT, wish=LocalWish(LocalPower.STOPPED, "root", AT))
    await store.put(wished, what="Stopped at the host", at=AT)
    again = await reopened(path)
    assert await again.guests() == [wished]
    await again.close()


async def test_a_forgotten_guest_leaves_who_did_it(store: Store) -> None:
    await store.put(RECORD, what="Accepted", at=AT)
    buried = Tombstone("g1", Rank(2, 3), None, "guests", "web", f"root at {AT}")
    await store.bury(buried, at=AT)
    assert await store.tombstone("g1") == buried
    assert [entry.what for entry in await store.changes()] == ["Accepted", "Forgotten"]


async def test_a_buried_guest_leaves_the_order_that_ended_it(store: Store) -> None:
    await store.put(RECORD, what="Accepted", at=AT)
    buried = Tombstone("g1", Rank(2, 4), "signed to destroy", "guests", "web")
    await store.bury(buried, at=AT)
    assert await store.guests() == []
    assert await store.tombstone("g1") == buried
    assert [entry.what for entry in await store.changes()] == ["Accepted", "Destroyed"]


async def test_the_files_are_for_their_owner_alone(store: Store, path: Path) -> None:
    await store.put(RECORD, what="Accepted", at=AT)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_every_commit_is_synced(store: Store) -> None:
    synchronous = await store._read(lambda c: c.execute("PRAGMA synchronous").fetchone()[0])
    assert synchronous == 2
    assert await store._read(lambda c: c.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"


async def test_another_hosts_database_is_refused(store: Store, path: Path) -> None:
    with pytest.raises(StoreOfAnotherHostError, match="inn-a"):
        await Store.open(path, host="inn-b", new_id="id-3")
    assert store.store_id == "id-1"


async def test_a_failed_transaction_leaves_nothing_behind(store: Store) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta (key, value) VALUES ('half', 'done')")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        await store._write(half)
    assert await store.meta("half") is None


async def test_the_change_log_does_not_grow_without_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "KEPT_CHANGES", 10)
    monkeypatch.setattr(rows, "PRUNE_EVERY", 20)
    for number in range(40):
        await store.put(RECORD, what=str(number), at=AT)
    kept = await store.changes()
    assert [entry.what for entry in kept] == [str(number) for number in range(30, 40)]
    assert (await store.changes(after=kept[-2].seq))[0].what == "39"


async def test_a_history_keeps_its_newest_steps(store: Store) -> None:
    await store.put(RECORD, what="Accepted", at=AT, steps=[step(number) for number in range(40)])
    await store.put(replace(RECORD, guest_id="g2"), what="Accepted", at=AT, steps=[step(7)])
    await store.add_steps({"g1": [step(number) for number in range(40, 70)]}, at=AT)
    page = await store.snapshot()
    first, second = (
        [msgspec.structs.replace(each, number=0) for each in guest.history] for guest in page.guests
    )
    assert (first, second) == ([step(number) for number in range(20, 70)], [step(7)])
    numbers = [each.number for guest in page.guests for each in guest.history]
    assert numbers == [*range(21, 41), *range(42, 72), 41], "counted in the order in which they were kept"
    last = (await store.changes())[-1]
    assert (last.guest_id, last.what) == ("g1", "Shown"), "who follows the log is told of them"


async def test_the_signed_orders_of_old_tombstones_go_and_their_ranks_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "KEPT_TOMBSTONE_ORDERS", 2)
    monkeypatch.setattr(rows, "PRUNE_EVERY", 5)
    for number in range(5):
        await store.bury(Tombstone(f"g{number}", Rank(1, 2), "signed"), at=AT)
    kept = {each.guest_id: (each.epoch, each.order) for each in (await store.snapshot()).tombstones}
    assert kept == {f"g{number}": (1, None if number < 3 else "signed") for number in range(5)}


async def test_a_buried_guests_history_does_not_come_back_with_its_next_epoch(store: Store) -> None:
    await store.put(RECORD, what="Accepted", at=AT, steps=[step(1)])
    await store.bury(Tombstone("g1", Rank(2, 4)), at=AT)
    await store.put(replace(RECORD, rank=Rank(3, 1)), what="Accepted", at=AT, steps=[step(2)])
    assert [each.history for each in (await store.snapshot()).guests] == [
        [msgspec.structs.replace(step(2), number=2)]
    ]


def step(number: int) -> Step:
    return Step(at=AT, reason=f"Step{number}", message="m" * (number % 3))
