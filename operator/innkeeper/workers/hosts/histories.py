"""Tells as Events what happened to guests on their hosts, in order and once, also while nobody here was listening.

Each host's own log is read from where it was told last, which stands in `Host.status.told`: who takes over goes on from
there. What was told after that mark was written is told again, under the same name, and is there already. A store that is
seen for the first time is not told from its beginning. What a host says counts only of guests that it holds by an order
that is ours.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import structlog

from innkeeper.clock import Clock, parse_rfc3339
from innkeeper.domain.host_store import GuestEntry
from innkeeper.domain.lifecycle import history
from innkeeper.domain.lifecycle.history import Told
from innkeeper.errors import InnkeeperError
from innkeeper.hosts import reading
from innkeeper.hosts.ports import GapError, HostReader
from innkeeper.kube import past_events
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ForbiddenError, ThrottledError
from innkeeper.kube.past_events import PastEvent
from innkeeper.kube.queue import LatestQueue
from innkeeper.kube.resources import HOSTS
from innkeeper.state.host_records import Cursor
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.host import HistoryCursor, Host
from innkeeper.workers.order_reader import OrderReader

log = structlog.get_logger(__name__)

WORKERS = 2
FIRST_BACKOFF_S, LAST_BACKOFF_S = 5.0, 300.0
BETWEEN_WRITES_S = 0.05  # of one worker: the API server has better things to do
FORBIDDEN_S = 1800.0  # how long one account's Events hold up the others of a host, while they are refused
KEEP_EVERY = 1000  # lines of a log in which nothing was worth telling


class Outcome(StrEnum):
    """What became of a step that was worth telling."""

    TOLD = "told"
    KNOWN = "known"  # it was told before, its namespace is gone, or the API server does not take it


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where histories come from. `read_to` is how far a host's log goes, as far as is known; `soon` has it read."""

    reader: Callable[[str], HostReader | None]
    read_to: Callable[[str], Cursor | None]
    answers: Callable[[str], bool]
    soon: Callable[[str], None]
    orders: OrderReader


class HistoryTeller:
    """Tells the histories of all hosts. One process does this at a time."""

    def __init__(self, client: Client, subset: Subset, *, source: Source, clock: Clock) -> None:
        self._client = client
        self._subset = subset
        self._source = source
        self._clock = clock
        self._cursors: dict[str, HistoryCursor] = {}
        self._unmarked: set[str] = set()  # hosts of which more was told than the mark says
        self._forbidden: dict[str, float] = {}  # by namespace: since when it takes no Events, monotonic
        self._queue: LatestQueue[str] = LatestQueue(
            clock, first_delay_s=FIRST_BACKOFF_S, last_delay_s=LAST_BACKOFF_S
        )
        self.observe: Callable[[Outcome, int], None] = lambda outcome, count: None  # noqa: ARG005 - does nothing

    def ask(self, host: str) -> None:
        """Have a host's history looked at: it was read, and may have grown."""
        self._queue.add(host)

    def expects(self, host: str) -> bool:
        """Tell whether news of a host come this way, and have them looked for soon: nobody else need tell them."""
        if not self._source.answers(host):
            return False
        self._source.soon(host)
        return True

    async def run(self) -> None:
        """Work for ever."""
        for host in self._subset.hosts:
            self.ask(host)
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            host = await self._queue.take()
            try:
                await self.tell(host)
            except InnkeeperError as error:
                asked_s = error.retry_after_s if isinstance(error, ThrottledError) else 0.0
                delay = self._queue.failed(host, at_least_s=asked_s)
                log.info(
                    "history_not_told", host=host, reason=error.reason, message=error.message, again_s=delay
                )
            except Exception:
                self._queue.failed(host, at_least_s=FIRST_BACKOFF_S)
                log.exception("history_broke", host=host)
            else:
                self._queue.done(host)

    async def tell(self, host: str) -> None:
        """Tell what is new of one host.

        Raises:
            HostUnreadError: it cannot be read; it is told later.
            ApiError: the API server did not take it; it is told again later.
        """
        found, reader = self._subset.hosts.get(host), self._source.reader(host)
        if found is None or reader is None:
            self._cursors.pop(host, None)
            self._unmarked.discard(host)
            return
        kept = found.status.told
        before = self._cursors.get(host) or kept
        known = self._source.read_to(host)
        # The write that keeps the cursor may have been refused: then it is still due.
        is_due = before is None or kept is None or kept.store_id != before.store_id or host in self._unmarked
        if before is not None and not is_due and known == Cursor(before.store_id, before.seq):
            return
        cursor, entries = await self._read(host, reader, before)
        is_new_store = before is None or before.store_id != cursor.store_id
        steps = [] if is_new_store else self._steps(host, entries, after=before.step if before else 0)
        for event in steps:
            is_new = await self._write(event)
            self.observe(Outcome.TOLD if is_new else Outcome.KNOWN, 1)
            await self._clock.sleep(BETWEEN_WRITES_S)
        self._cursors[host] = cursor
        if steps or is_new_store or is_due or kept is None or cursor.seq - kept.seq >= KEEP_EVERY:
            self._unmarked.add(host)
            # The Host is written to meanwhile, more often than not, while many Events are.
            await self._keep(self._subset.hosts.get(host, found), cursor)
            self._unmarked.discard(host)

    async def _write(self, event: PastEvent) -> bool:
        """Write an Event; tell whether it is new. One of a namespace that has taken none for long is passed over.

        A quota, a webhook and our own rights may be set right soon; but others of this host wait for it meanwhile.

        Raises:
            ApiError: it was not written.
        """
        namespace = event.about.namespace
        try:
            is_new = await past_events.write(self._client, event)
        except ForbiddenError as error:
            now = self._clock.monotonic()
            if now - self._forbidden.setdefault(namespace, now) < FORBIDDEN_S:
                raise
            log.warning(
                "past_event_refused", about=event.about.name, told=event.reason, message=error.message
            )
            return False
        self._forbidden.pop(namespace, None)
        return is_new

    async def _read(
        self, host: str, reader: HostReader, before: HistoryCursor | None
    ) -> tuple[HistoryCursor, list[GuestEntry]]:
        """Return what changed, or all where that is not known any more, and how far the log goes then."""
        if before is not None:
            try:
                return await self._changed(host, reader, before)
            except GapError as error:
                log.info("history_gap", host=host, message=error.message)
        store_id, seq, entries = "", 0, dict[str, GuestEntry]()
        async for page in reading.pages(host, reader):
            if not store_id:
                store_id, seq = page.store_id, page.seq
            entries.update((each.guest_id, each) for each in page.guests)
        whole = HistoryCursor(store_id=store_id, seq=seq, step=_last(entries.values()))
        cursor, changed = await self._changed(host, reader, whole)  # while pages were read
        entries.update((each.guest_id, each) for each in changed)
        return cursor, list(entries.values())

    async def _changed(
        self, host: str, reader: HostReader, before: HistoryCursor
    ) -> tuple[HistoryCursor, list[GuestEntry]]:
        seq, entries = before.seq, dict[str, GuestEntry]()
        answers = reading.changes(host, reader, store_id=before.store_id, since=before.seq)
        async for answer in answers:
            seq = answer.seq
            entries.update((each.guest_id, each) for each in answer.guests)
        step = max(before.step, _last(entries.values()))
        return HistoryCursor(store_id=before.store_id, seq=seq, step=step), list(entries.values())

    def _steps(self, host: str, entries: Iterable[GuestEntry], *, after: int) -> list[PastEvent]:
        """Return the Events that are due, in the order in which things happened: of each guest a bounded number."""
        found: list[tuple[Told, PastEvent]] = []
        for entry in entries:
            guest = self._guest(host, entry)
            if guest is None:
                continue
            told = history.to_tell(entry.history, after=after)
            found += [(each, _event(host, guest, entry.guest_id, each)) for each in told if _is_time(each.at)]
        found.sort(key=lambda each: each[0].number)
        return [event for _, event in found]

    def _guest(self, host: str, entry: GuestEntry) -> Guest | None:
        """Return the Guest that an entry is about, where it is bound to this host and held there by an order of ours."""
        key = self._subset.guest_keys.get(entry.guest_id)
        guest = self._subset.guests.get(key) if key is not None else None
        if guest is None or guest.status.host != host or guest_id_of(guest) != entry.guest_id:
            return None
        order = self._source.orders.read(entry.order, guest_id=entry.guest_id)
        return guest if order is not None and order.host == host else None

    async def _keep(self, host: Host, cursor: HistoryCursor) -> None:
        metadata = host.metadata
        written = await self._client.patch(
            HOSTS,
            metadata.name,
            {"status": {"told": msgspec.to_builtins(cursor)}},
            subresource="status",
            uid=metadata.uid,
            resource_version=metadata.resource_version,
        )
        self._subset.assume(written)


def _event(host: str, guest: Guest, guest_id: str, told: Told) -> PastEvent:
    return PastEvent(
        about=guest.metadata,
        host=host,
        key=f"{guest_id}\n{host}\n{told.number}\n{told.at}\n{told.reason}",
        at=told.at,
        reason=told.reason,
        message=told.message,
        is_warning=told.is_warning,
    )


def _last(entries: Iterable[GuestEntry]) -> int:
    return max((step.number for each in entries for step in each.history), default=0)


def _is_time(text: str) -> bool:
    try:
        parse_rfc3339(text)
    except ValueError:
        return False
    return True
