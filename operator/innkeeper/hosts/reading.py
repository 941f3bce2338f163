"""Reads a host's store page by page: all that it holds, or what changed since a cursor.

It checks that pages go on and end, and belong to one store. It checks no signature and tries nothing again.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from innkeeper.domain.host_store import Events, GuestEntry, Snapshot, TombstoneEntry
from innkeeper.domain.rebuild.testimony import HostStore
from innkeeper.hosts.ports import GapError, HostReader, HostUnreadError

MAX_PAGES = 10_000  # of 500 entries each, more than one machine can run


async def pages(host: str, reader: HostReader, *, most: int = MAX_PAGES) -> AsyncIterator[Snapshot]:
    """Yield all that a store holds, page by page; the cursor is that of the first page.

    What changes meanwhile is told by the events since then.

    Raises:
        HostUnreadError: it cannot be read, became another one meanwhile, or has no end.
    """
    first = page = await reader.snapshot()
    for _ in range(most):
        yield page
        after = page.next_after
        if after is None:
            return
        page = await reader.snapshot(after=after)
        goes_on = page.next_after is None or page.next_after > after
        if page.store_id != first.store_id or not goes_on:
            raise HostUnreadError(f"host {host} changed its store, or its pages do not go on")
    raise HostUnreadError(f"host {host} tells of more than {most} pages of guests")


async def changes(
    host: str, reader: HostReader, *, store_id: str, since: int, most: int = MAX_PAGES
) -> AsyncIterator[Events]:
    """Yield what changed since a cursor, page by page.

    Raises:
        GapError: the log cannot go on from there: read everything.
        HostUnreadError: it cannot be read, or has no end.
    """
    for _ in range(most):
        answer = await reader.events(store_id=store_id, since=since)
        if answer.store_id != store_id or answer.seq < since:
            raise GapError(f"host {host} answers from another store, or from the past")
        yield answer
        if not answer.has_more:
            return
        if answer.seq == since:
            break
        since = answer.seq
    raise HostUnreadError(f"the changes of host {host} do not end")


@dataclass
class _Held:
    """What a store holds, by Guest ID, as far as it was read."""

    guests: dict[str, GuestEntry]
    tombstones: dict[str, TombstoneEntry]

    def take(self, answer: Snapshot | Events) -> None:
        """Take the newest state of every guest that an answer names; one that it does not tell of is gone."""
        if isinstance(answer, Events):
            for change in answer.changes:
                self.guests.pop(change.guest_id, None)
                self.tombstones.pop(change.guest_id, None)
        self.guests.update((each.guest_id, each) for each in answer.guests)
        self.tombstones.update((each.guest_id, each) for each in answer.tombstones)


async def read_store(host: str, reader: HostReader) -> HostStore:
    """Return all that a host's store holds, as it was at one moment.

    Raises:
        HostUnreadError: it cannot be read, or became another one meanwhile.
    """
    held = _Held({}, {})
    first: Snapshot | None = None
    last_seq = 0
    async for page in pages(host, reader):
        first, last_seq = first or page, page.seq
        held.take(page)
    if first is None:
        raise HostUnreadError(f"host {host} tells nothing")
    if last_seq != first.seq:
        async for answer in changes(host, reader, store_id=first.store_id, since=first.seq):
            held.take(answer)
    return HostStore(
        host=host,
        settings=first.settings,
        guests=held.guests.values(),
        tombstones=held.tombstones.values(),
    )
