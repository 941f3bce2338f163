"""Reads a host's store page by page: all that it holds, or what changed since a cursor.

It checks that pages go on and end, and belong to one store. It checks no signature and tries nothing again.
"""

from collections.abc import AsyncGenerator, AsyncIterator

from innkeeper.domain.host_store import Events, Snapshot
from innkeeper.hosts.ports import GapError, HostReader, HostUnreadError

MAX_PAGES = 10_000  # of 500 entries each, more than one machine can run


async def pages(host: str, reader: HostReader, *, most: int = MAX_PAGES) -> AsyncIterator[Snapshot]:
    """Yield all that a store holds, page by page; the cursor is that of the first page.

    What changes meanwhile is told by the events since then.

    Raises:
        HostUnreadError: it cannot be read, became another one meanwhile, or has no end.
    """
    page = await reader.snapshot()
    store_id = page.store_id
    for _ in range(most):
        yield page
        after = page.next_after
        if after is None:
            return
        page = await reader.snapshot(after=after)
        goes_on = page.next_after is None or page.next_after > after
        if page.store_id != store_id or not goes_on:
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


async def whole(host: str, reader: HostReader) -> AsyncGenerator[Snapshot | Events, None]:
    """Yield all that a store holds, as it was at one moment: its pages, then what changed while they were read.

    The newest state that is told of a guest is the one that counts. A guest that a change names, and that the same answer
    does not tell of, is gone.

    Raises:
        HostUnreadError: it cannot be read, or became another one meanwhile.
    """
    store_id, seq, last_seq = "", -1, -1
    async for page in pages(host, reader):
        if seq < 0:
            store_id, seq = page.store_id, page.seq
        last_seq = page.seq
        yield page
    if last_seq != seq:
        async for answer in changes(host, reader, store_id=store_id, since=seq):
            yield answer
