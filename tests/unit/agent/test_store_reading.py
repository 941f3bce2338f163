"""What a reader of the store is told: pages, events since a cursor, and gaps."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from innkeeper.agent.store import reading, rows
from innkeeper.agent.store.reading import LogGapError
from innkeeper.agent.store.records import GuestRecord, Life, Ready, Tombstone
from innkeeper.agent.store.store import Store
from innkeeper.domain.host_store import MAX_ANSWER_BYTES, Events, Snapshot, held_since
from innkeeper.domain.orders import MAX_ORDER_BYTES, Rank
from innkeeper.domain.reasons import OrderOutcome

AT = "2026-01-01T00:00:00Z"


def record(guest_id: str, **more: object) -> GuestRecord:
    made = GuestRecord(
        guest_id=guest_id,
        order="signed",
        rank=Rank(1, 1),
        namespace="guests",
        name="web",
        outcome=OrderOutcome.ACCEPTED,
        life=Life.UP,
        ready=Ready(True, "Running", "all of it"),
    )
    return replace(made, **more)  # type: ignore[arg-type] # fields by name


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-1")
    yield opened
    await opened.close()


async def filled(store: Store, count: int) -> None:
    """Have guests with even numbers and tombstones with odd ones."""
    for number in range(count):
        if number % 2 == 0:
            await store.put(record(f"g{number:03d}"), what="Accepted Running", at=AT)
        else:
            await store.bury(Tombstone(f"g{number:03d}", Rank(1, 2), "signed to destroy"), at=AT)


async def all_pages(store: Store, *, limit: int) -> list[Snapshot]:
    pages = [await store.snapshot(limit=limit)]
    while (after := pages[-1].next_after) is not None:
        pages.append(await store.snapshot(after=after, limit=limit))
    return pages


async def test_a_guest_tells_since_when_it_is_the_hosts_own(store: Store) -> None:
    await store.put(record("g1", accepted_at="2021-03-04T05:06:07.000123Z"), what="Accepted Running", at=AT)
    [told] = (await store.snapshot()).guests
    assert held_since(told) == "2021-03-04T05:06:07Z"


def ids(pages: list[Snapshot]) -> list[str]:
    return [each.guest_id for page in pages for each in [*page.guests, *page.tombstones]]


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 11])
async def test_pages_hold_everything_once(store: Store, limit: int) -> None:
    await filled(store, 10)
    pages = await all_pages(store, limit=limit)
    assert sorted(ids(pages)) == [f"g{number:03d}" for number in range(10)]
    assert all(len(ids([page])) <= limit for page in pages)
    assert {(page.host, page.store_id, page.seq) for page in pages} == {("inn-a", "id-1", 10)}


async def test_an_empty_store_is_one_empty_page(store: Store) -> None:
    assert await all_pages(store, limit=5) == [Snapshot(host="inn-a", store_id="id-1", seq=0)]


async def test_a_guest_is_told_with_its_order_and_how_it_stands(store: Store) -> None:
    await store.put(record("g1"), what="Running", at=AT)
    (guest,) = (await store.snapshot()).guests
    told = (
        guest.order,
        guest.outcome,
        guest.life,
        guest.ready,
        guest.reason,
        guest.message,
        guest.changed_at,
    )
    assert told == ("signed", "Accepted", "Up", True, "Running", "all of it", AT)


async def test_what_changes_between_pages_is_found_by_the_events_since_the_first(store: Store) -> None:
    await filled(store, 6)
    first = await store.snapshot(limit=3)
    await store.bury(Tombstone("g000", Rank(1, 3), "signed"), at=AT)  # told already
    await store.put(record("g0005"), what="Accepted", at=AT)  # new, behind what was told
    await store.put(record("g001", rank=Rank(2, 1)), what="Accepted", at=AT)  # a tombstone that was told
    rest = await store.snapshot(after=first.next_after, limit=10)
    since = await store.events(store_id="id-1", since=first.seq)

    guests = {each.guest_id for page in (first, rest) for each in page.guests}
    guests = (guests - {each.guest_id for each in since.tombstones}) | {e.guest_id for e in since.guests}
    assert guests == {each.guest_id for each in await store.guests()}
    assert {each.guest_id for each in since.tombstones} == {"g000"}


async def test_events_tell_the_newest_state_of_each_guest_once(store: Store) -> None:
    await store.put(record("g1", ready=Ready(False, "Starting")), what="Starting", at=AT)
    await store.put(record("g1"), what="Running", at=AT)
    await store.bury(Tombstone("g2", Rank(1, 2)), at=AT)
    told = await store.events(store_id="id-1", since=0)
    assert [(line.seq, line.what) for line in told.changes] == [
        (1, "Starting"),
        (2, "Running"),
        (3, "Destroyed"),
    ]
    assert [each.reason for each in told.guests] == ["Running"]
    assert [each.guest_id for each in told.tombstones] == ["g2"]
    assert (told.since, told.seq, told.has_more) == (0, 3, False)


async def test_events_come_in_parts(store: Store) -> None:
    await filled(store, 7)
    since, lines, more = 0, list[int](), True
    while more:
        part = await store.events(store_id="id-1", since=since, limit=3)
        lines += [line.seq for line in part.changes]
        since, more = part.seq, part.has_more
    assert lines == list(range(1, 8))


async def test_nothing_new_is_no_gap(store: Store) -> None:
    empty = Events(host="inn-a", store_id="id-1", since=0, seq=0)
    assert await store.events(store_id="id-1", since=0) == empty
    await filled(store, 2)
    assert (await store.events(store_id="id-1", since=2)).changes == []


async def test_another_store_and_a_number_beyond_the_end_are_gaps(store: Store) -> None:
    await filled(store, 2)
    with pytest.raises(LogGapError, match="id-1"):
        await store.events(store_id="id-0", since=1)
    with pytest.raises(LogGapError, match="1 to 2"):
        await store.events(store_id="id-1", since=3)


async def test_what_the_log_dropped_is_a_gap_and_the_line_before_the_oldest_is_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "KEPT_CHANGES", 10)
    monkeypatch.setattr(rows, "PRUNE_EVERY", 20)
    await filled(store, 20)  # the lines 11 to 20 are left
    told = await store.events(store_id="id-1", since=10)
    assert [line.seq for line in told.changes] == list(range(11, 21))
    with pytest.raises(LogGapError, match="11 to 20"):
        await store.events(store_id="id-1", since=9)


async def test_large_answers_end_early_and_below_their_cap(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_CHARACTERS", 3 * MAX_ORDER_BYTES)
    worst = '"' * MAX_ORDER_BYTES  # JSON doubles it
    for number in range(5):
        await store.put(record(f"g{number}", order=worst), what="Accepted", at=AT)
    assert [len(page.guests) for page in await all_pages(store, limit=10)] == [3, 2]
    part = await store.events(store_id="id-1", since=0)
    assert ([line.seq for line in part.changes], part.seq, part.has_more) == ([1, 2, 3], 3, True)


async def test_the_largest_page_stays_below_the_cap_of_an_answer(store: Store) -> None:
    for number in range(20):
        order = "\U0001f600" * MAX_ORDER_BYTES
        await store.put(record(f"g{number:02d}", order=order), what="Accepted", at=AT)
    pages = await all_pages(store, limit=500)
    assert len(pages) > 1
    assert max(len(msgspec.json.encode(page)) for page in pages) < MAX_ANSWER_BYTES
