"""Reads all that one host holds as it was at one moment: every page, and then what changed while they were read.

It checks no signature and tries nothing again; a change of the store in between is an error.
"""

from innkeeper.domain.host_store import Events, GuestEntry, TombstoneEntry
from innkeeper.domain.rebuild.testimony import HostStore
from innkeeper.hosts.ports import HostReader, HostUnreadError

MAX_PAGES = 10_000  # of 500 entries each, more than one machine can run


async def read_store(host: str, reader: HostReader) -> HostStore:
    """Return all that a host's store holds.

    Raises:
        HostUnreadError: it cannot be read, or became another one meanwhile.
    """
    first = page = await reader.snapshot()
    guests: dict[str, GuestEntry] = {}
    tombstones: dict[str, TombstoneEntry] = {}
    for _ in range(MAX_PAGES):
        guests.update((each.guest_id, each) for each in page.guests)
        tombstones.update((each.guest_id, each) for each in page.tombstones)
        after = page.next_after
        if after is None:
            break
        page = await reader.snapshot(after=after)
        if page.store_id != first.store_id or (page.next_after is not None and page.next_after <= after):
            raise HostUnreadError(f"host {host} changed its store, or its pages do not go on")
    else:
        raise HostUnreadError(f"host {host} tells of more than {MAX_PAGES} pages of guests")
    if page.seq != first.seq:
        await _catch_up(host, reader, first.store_id, first.seq, guests=guests, tombstones=tombstones)
    return HostStore(
        host=host, settings=first.settings, guests=guests.values(), tombstones=tombstones.values()
    )


async def _catch_up(
    host: str,
    reader: HostReader,
    store_id: str,
    since: int,
    *,
    guests: dict[str, GuestEntry],
    tombstones: dict[str, TombstoneEntry],
) -> None:
    """Take what changed since a place."""
    for _ in range(MAX_PAGES):
        answer = await reader.events(store_id=store_id, since=since)
        _take(answer, guests, tombstones)
        if not answer.has_more:
            return
        if answer.seq <= since:
            break
        since = answer.seq
    raise HostUnreadError(f"the changes of host {host} do not end")


def _take(answer: Events, guests: dict[str, GuestEntry], tombstones: dict[str, TombstoneEntry]) -> None:
    """Take the newest state of every guest that an answer names; one that it does not tell of is gone."""
    for change in answer.changes:
        guests.pop(change.guest_id, None)
        tombstones.pop(change.guest_id, None)
    guests.update((each.guest_id, each) for each in answer.guests)
    tombstones.update((each.guest_id, each) for each in answer.tombstones)
