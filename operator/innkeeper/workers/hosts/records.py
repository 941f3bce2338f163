"""Keeps the records of what hosts hold: asks agents for what changed since the last cursor, or for everything.

A host is asked at start, after the API server's own window was lost, when it is heard again after silence, and slowly
on a timer. Only so many are asked at once, each by itself: one that does not answer holds up nobody. Only orders that
are ours count; anything else is counted and passed over. It writes to nobody.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

import structlog

from innkeeper.clock import Clock
from innkeeper.domain.host_store import Events, GuestEntry, Snapshot, held_since
from innkeeper.domain.names import host_of_namespace
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import ConditionType, HostReason, OrderOutcome
from innkeeper.hosts import reading
from innkeeper.hosts.ports import GapError, HostReader, HostUnreadError
from innkeeper.kube.conditions import find
from innkeeper.kube.informer import Change
from innkeeper.kube.queue import LatestQueue
from innkeeper.state import waiting
from innkeeper.state.host_records import Cursor, HeldGuest, HostRecord, HostRecords
from innkeeper.state.subset import Subset
from innkeeper.views.host import Host, HostAgent
from innkeeper.workers.order_reader import OrderReader

log = structlog.get_logger(__name__)

WORKERS = 8
PERIOD_S = 300.0
FIRST_BACKOFF_S = 5.0
MAX_PAGES = 400  # of one pull; with the size of a page, more guests than a host can have
_SLICE = 50  # entries whose signatures are checked in one go
_NOT_HEARD = (HostReason.SILENT, HostReason.NEVER_REPORTED, HostReason.UNHEARD)


class Pull(StrEnum):
    """How a host was read."""

    EVENTS = "events"
    SNAPSHOT = "snapshot"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who is asked. `reader` gives None where nobody knows where a host is reached; `listed` are hosts of the file."""

    reader: Callable[[str], HostReader | None]
    listed: Callable[[], Iterable[str]] = tuple


class RecordKeeper:
    """Asks hosts."""

    def __init__(
        self,
        subset: Subset,
        *,
        records: HostRecords,
        orders: OrderReader,
        asked: Asked,
        clock: Clock,
        period_s: float = PERIOD_S,
        workers: int = WORKERS,
        random: Random | None = None,
    ) -> None:
        self._subset = subset
        self._records = records
        self._orders = orders
        self._asked = asked
        self._clock = clock
        self._period_s = period_s
        self._workers = workers
        self._random = random or Random()  # noqa: S311 - it only spreads questions over time
        self._queue: LatestQueue[str] = LatestQueue(
            clock, first_delay_s=FIRST_BACKOFF_S, last_delay_s=period_s
        )
        self._whole: set[str] = set()  # hosts of which the next pull is to read everything
        self._failing: set[str] = set()
        self._observe: Callable[[Pull], None] = lambda pull: None  # noqa: ARG005 - a default that does nothing
        self._foreign: Callable[[], None] = lambda: None
        self.on_read: Callable[[str], None] = lambda host: None  # noqa: ARG005 - a default that does nothing

    def observed_by(self, observe: Callable[[Pull], None], *, foreign: Callable[[], None]) -> None:
        """Tell somebody of each pull, and of each order that is not ours. `on_read` is told which host it was."""
        self._observe = observe
        self._foreign = foreign

    # What wakes it

    def ask(self, host: str, *, after_s: float = 0) -> None:
        """Have a host asked soon, or after some time."""
        self._queue.add(host, after_s=after_s)

    def ask_whole(self, host: str) -> None:
        """Have a host asked soon for everything that it holds."""
        self._whole.add(host)
        self._queue.add(host)

    def ask_all(self) -> None:
        """Have every host asked soon."""
        for host in self.hosts():
            self.ask(host)

    def agent_changed(self, change: Change[HostAgent]) -> None:
        """Ask a host whose agent is reached elsewhere than before."""
        before = change.old.status.address if change.old else None
        after = change.new.status.address if change.new else None
        host = host_of_namespace(change.key[0])
        if host is not None and after is not None and before != after:
            self.ask(host)

    def host_changed(self, change: Change[Host]) -> None:
        """Ask a host that is heard again; forget one that is gone."""
        if change.new is None or (_is_not_heard(change.old) and not _is_not_heard(change.new)):
            self.ask(change.key[1])

    # What it tells

    def hosts(self) -> set[str]:
        """Return every host that there is, as the API server or the hosts file says."""
        return {*self._subset.hosts, *self._asked.listed()}

    def unread(self) -> int:
        """Return how many hosts were not read, or not the last time."""
        return sum(host in self._failing or self._records.of(host) is None for host in self.hosts())

    def reads(self, host: str) -> bool:
        """Tell whether a host answers: it was read, and the last time, too."""
        return self._records.of(host) is not None and host not in self._failing

    # What it does

    async def run(self) -> None:
        """Ask for ever."""
        self.ask_all()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            host = await self._queue.take()
            try:
                await self.pull(host)
            except HostUnreadError as error:
                delay = self._queue.failed(host)
                log.info(
                    "host_not_read", host=host, reason=error.reason, message=error.message, again_s=delay
                )
            except Exception:
                self._queue.failed(host)
                log.exception("host_reading_broke", host=host)
            else:
                self._queue.done(host)
                if host in self.hosts():
                    self._queue.add(host, after_s=self._period_s * self._random.uniform(0.8, 1.2))

    async def pull(self, host: str) -> None:
        """Read one host: what changed, or everything where that is not known any more.

        Raises:
            HostUnreadError: it could not be read; what was known of it stays.
        """
        if host not in self.hosts():
            self._records.forget(host)
            self._failing.discard(host)
            self.on_read(host)
            return
        reader = self._asked.reader(host)
        if reader is None:
            return
        try:
            how = await self._read(host, reader)
        except HostUnreadError:
            self._failing.add(host)
            self._observe(Pull.FAILED)
            raise
        self._failing.discard(host)
        self._observe(how)
        self.on_read(host)
        self._subset.wake(waiting.host_record(host))

    async def _read(self, host: str, reader: HostReader) -> Pull:
        if self._records.of(host) is not None and host not in self._whole:
            try:
                await self._catch_up(host, reader)
            except GapError as error:
                log.info("host_log_gap", host=host, message=error.message)
            else:
                return Pull.EVENTS
        self._records.replace(host, await self._everything(host, reader))
        self._whole.discard(host)
        await self._catch_up(host, reader)
        return Pull.SNAPSHOT

    async def _everything(self, host: str, reader: HostReader) -> HostRecord:
        """Read all pages; the cursor is that of the first, so that what changed meanwhile is told again."""
        asked_at = self._clock.now().timestamp()
        found: HostRecord | None = None
        async for page in reading.pages(host, reader, most=MAX_PAGES):
            found = found or HostRecord(Cursor(page.store_id, page.seq), asked_at, {}, {})
            await self._take(host, page, found)
        if found is None:
            raise HostUnreadError(f"host {host} tells nothing")
        return found

    async def _catch_up(self, host: str, reader: HostReader) -> None:
        """Take what changed since the cursor that is known."""
        record = self._records.of(host)
        if record is None:
            return
        cursor, asked_at = record.cursor, self._clock.now().timestamp()
        answers = reading.changes(host, reader, store_id=cursor.store_id, since=cursor.seq, most=MAX_PAGES)
        async for answer in answers:
            # Until the last page is read, the record is as old as it was.
            as_of = record.asked_at if answer.has_more else asked_at
            changed = HostRecord(Cursor(answer.store_id, answer.seq), as_of, {}, {})
            await self._take(host, answer, changed)
            if self._records.of(host) is None:
                return  # it was forgotten meanwhile
            self._records.change(host, changed, named={each.guest_id for each in answer.changes})

    async def _take(self, host: str, answer: Snapshot | Events, into: HostRecord) -> None:
        """Take what is ours of an answer."""
        for number, entry in enumerate(answer.guests):
            if number % _SLICE == 0:
                await asyncio.sleep(0)  # signatures take time; other work goes on between slices
            if entry.outcome == OrderOutcome.REFUSED:
                continue  # it holds nothing, and the host keeps no signed order of it
            guest = self._guest(host, entry)
            if guest is not None:
                into.guests[entry.guest_id] = guest
            else:
                into.foreign.add(entry.guest_id)
        # A tombstone is the host's word alone; all that it does is to keep a guest from coming back.
        into.tombstones.update({each.guest_id: Rank(each.epoch, each.serial) for each in answer.tombstones})

    def _guest(self, host: str, entry: GuestEntry) -> HeldGuest | None:
        order = self._orders.read(entry.order, guest_id=entry.guest_id)
        if order is None or order.host != host:
            self._foreign()
            log.info("order_not_ours", host=host, guest=entry.guest_id[:63])
            return None
        assignment = self._subset.assignment(entry.guest_id, host)
        is_carried = assignment is not None and assignment.spec.order == entry.order
        return HeldGuest(
            namespace=order.namespace,
            name=order.name,
            rank=order.rank,
            desired=order.desired,
            outcome=entry.outcome,
            text=None if is_carried else entry.order,
            since=held_since(entry),
        )


def _is_not_heard(host: Host | None) -> bool:
    ready = find(host.status.conditions, ConditionType.READY) if host is not None else None
    return ready is not None and ready.reason in _NOT_HEARD
