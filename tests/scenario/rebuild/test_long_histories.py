"""Hosts that destroyed very many guests are heard: nothing else stands still meanwhile, and no text of it is kept."""

import asyncio
import tracemalloc
from collections.abc import Coroutine
from typing import Any

import pytest

from innkeeper.domain.host_store import Events, Snapshot, TombstoneEntry
from innkeeper.workers.rebuild.hearing import Heard, Hearing
from tests.kit import agent_orders
from tests.kit.agent_orders import KEYS, SIGNER, STORE, guest_id
from tests.kit.host_stores import SETTINGS
from tests.kit.told_host import ToldHost
from tests.kit.virtual_loop import SteppedClock, VirtualLoop

HOST = "a"
MOST_TURN = 20  # entries that may be judged before others have their turn


class LongHistory:
    """A host that tells of destroyed guests, page by page; each page takes its time, and is made when it is asked for."""

    def __init__(self, *, pages: int, entries: int, note: int = 0, page_s: float = 0.0) -> None:
        self._pages = pages
        self._entries = entries
        self._note = {"note": "x" * note}
        self._page_s = page_s

    async def snapshot(self, *, after: str | None = None) -> Snapshot:
        """Return the page behind the last one."""
        await SteppedClock().sleep(self._page_s)
        first = 0 if after is None else int(after[-12:]) + 1
        last = first + self._entries - 1
        return Snapshot(
            host=HOST,
            store_id=STORE,
            seq=1,
            settings=SETTINGS,
            tombstones=[self._tombstone(number) for number in range(first, last + 1)],
            next_after=guest_id(last) if last + 1 < self._pages * self._entries else None,
        )

    async def events(self, *, store_id: str, since: int) -> Events:
        """Return that nothing changed."""
        return Events(host=HOST, store_id=store_id, since=since, seq=since)

    def _tombstone(self, number: int) -> TombstoneEntry:
        order = agent_orders.order(
            number, host=HOST, desired="Destroyed", image=None, serial=2, annotations=self._note
        )
        return TombstoneEntry(
            guest_id=order.guest_id, epoch=1, serial=2, destroyed_at="", order=SIGNER.sign(order)
        )


def in_virtual_time(story: Coroutine[Any, Any, Heard]) -> Heard:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)


async def heard(host: LongHistory) -> Heard:
    hearing = Hearing(lambda _: host, keys=KEYS, clock=SteppedClock(), workers=1)
    return await hearing.hear([HOST])


def test_others_have_their_turn_while_a_page_is_judged() -> None:
    entries, turns = 200, 0

    async def story() -> Heard:
        async def live() -> None:
            nonlocal turns
            while True:
                turns += 1
                await SteppedClock().sleep(0)

        living = asyncio.create_task(live())
        found = await heard(LongHistory(pages=1, entries=entries))
        living.cancel()
        return found

    found = in_virtual_time(story())
    assert len(found.testimonies[HOST].ends) == entries
    assert turns >= entries / MOST_TURN


def test_no_more_than_a_page_of_it_is_in_memory() -> None:
    note, entries, pages = 64 * 1024, 5, 24
    tracemalloc.start()
    found = in_virtual_time(heard(LongHistory(pages=pages, entries=entries, note=note)))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.testimonies[HOST].ends) == pages * entries
    assert most < pages * entries * note / 2, "a few pages at once"


def test_a_host_that_answers_and_has_much_to_tell_is_heard() -> None:
    found = in_virtual_time(heard(LongHistory(pages=40, entries=1, page_s=20.0)))
    assert len(found.testimonies[HOST].ends) == 40
    assert found.unheard == {}


@pytest.mark.parametrize(
    ("pages", "page_s", "why"), [(1, 100.0, "did not answer within 60 s"), (10**6, 50.0, "to an end")]
)
def test_a_host_that_does_not_answer_or_never_ends_is_given_up(pages: int, page_s: float, why: str) -> None:
    found = in_virtual_time(heard(LongHistory(pages=pages, entries=1, page_s=page_s)))
    assert why in found.unheard[HOST]


async def test_what_changes_while_pages_are_read_counts_as_it_is_in_the_end() -> None:
    host = ChangesMeanwhile()
    for number in range(1, 5):
        host.hold(number, epoch=2)
    hearing = Hearing(lambda _: host, keys=KEYS, clock=SteppedClock())
    found = (await hearing.hear([host.name])).testimonies[host.name]
    assert set(found.guests) == {guest_id(1), guest_id(4)}
    assert found.guests[guest_id(1)].order.serial == 7
    assert set(found.own_ends) == {guest_id(2)}
    assert found.findings == []


class ChangesMeanwhile(ToldHost):
    """A host on which guests change, end and go once its first page was read."""

    async def snapshot(self, *, after: str | None = None) -> Snapshot:
        """Return a page; what it tells of is another thing by the time of the next one."""
        told = await super().snapshot(after=after)
        if after is None:
            self.hold(1, epoch=2, serial=7)
            self.destroy(guest_id(2), epoch=2)
            self.drop(guest_id(3))
        return told
