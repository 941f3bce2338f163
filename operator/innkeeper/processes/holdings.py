"""What hosts hold, as one replica knows it: records of hosts, kept over restarts, and the orphans among their guests.

Every replica does this, so that each can answer who asks and one that takes over knows everything already. Where no
certificates are given, no host is asked, and Assignments alone tell what hosts hold.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from innkeeper import whole_files
from innkeeper.clock import Clock
from innkeeper.domain.host_console import ConsolePart
from innkeeper.domain.host_usage import HostUsage
from innkeeper.domain.names import host_of_namespace
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OrderOutcome
from innkeeper.errors import InnkeeperError
from innkeeper.hosts.client import AgentReader, Agents, ClientFiles
from innkeeper.hosts.directory import HostDirectory
from innkeeper.hosts.ports import HostUnreadError
from innkeeper.kube.client import Client
from innkeeper.kube.informer import Change
from innkeeper.processes.hosts_asked import client_files
from innkeeper.processes.order_key import KeySource, read_order_keys
from innkeeper.processes.watches import Watches, are_fresh
from innkeeper.settings import OperatorSettings
from innkeeper.state import host_records, snapshot
from innkeeper.state.host_records import Cursor, HostRecord, HostRecords, RecordsDamagedError
from innkeeper.state.snapshot import SnapshotRefusedError
from innkeeper.state.subset import Subset
from innkeeper.telemetry.metrics import HostRecordMetrics
from innkeeper.views.assignment import Assignment
from innkeeper.workers.held import HeldByHosts
from innkeeper.workers.hosts.histories import Source
from innkeeper.workers.hosts.records import Asked, RecordKeeper
from innkeeper.workers.order_reader import OrderReader
from innkeeper.workers.orphans.finding import Orphans

log = structlog.get_logger(__name__)

AGAIN_S = 10.0
HISTORY_WAIT_S = 6.0  # an agent keeps what it has only shown within 5 s
DIRECTORY_S = 30.0  # how often the hosts file is looked at


class Holdings:
    """Records and orphans of one replica."""

    def __init__(
        self,
        settings: OperatorSettings,
        *,
        client: Client,
        clock: Clock,
        watches: Watches,
        subset: Subset,
        metrics: HostRecordMetrics,
    ) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._watches = watches
        self._subset = subset
        self._metrics = metrics
        self.records = HostRecords()
        self.held = HeldByHosts(subset, self.records, OrderReader())
        self.orphans = Orphans(self.held, clock=clock, fresh=self._is_fresh)
        self._directory = HostDirectory(self._reported, file=settings.hosts_file)
        self._agents: Agents | None = None
        self._records_keeper: RecordKeeper | None = None
        self.on_read: Callable[[str], None] = lambda host: None  # noqa: ARG005 - a default that does nothing
        metrics.orphans.set_function(lambda: float(len(self.orphans.all())))

    async def run(self) -> None:
        """Read hosts and look for orphans, for ever."""
        await self._watches.synced()
        await self._learn_keys()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.orphans.run())
            files = client_files(self._settings)
            if files is not None:
                group.create_task(self._read_hosts(files))

    async def console(
        self, host: str, guest_id: str, *, max_bytes: int, after: str | None = None
    ) -> ConsolePart:
        """Return the end of what a guest wrote to its console, or what it wrote since, from its host.

        Raises:
            HostUnreadError: it cannot be had now.
        """
        return await self._reader(host).console(guest_id, max_bytes=max_bytes, after=after)

    async def usage(self, host: str) -> HostUsage:
        """Return how much processor and memory each guest of a host takes now, from the host.

        Raises:
            HostUnreadError: it cannot be had now.
        """
        return await self._reader(host).usage()

    def _reader(self, host: str) -> AgentReader:
        address = self._directory.address_of(host)
        if self._agents is None or address is None:
            why = (
                "its agent serves no host API"
                if self._agents
                else "the operator has no --hosts-* certificates"
            )
            raise HostUnreadError(f"host {host} cannot be asked: {why}")
        return self._agents.reader(host, address)

    def histories(self) -> Source:
        """Return where the histories of hosts come from, as far as hosts are read here."""

        def read_to(host: str) -> Cursor | None:
            record = self.records.of(host)
            return record.cursor if record is not None else None

        def soon(host: str) -> None:
            if self._records_keeper is not None:
                self._records_keeper.ask(host, after_s=HISTORY_WAIT_S)

        return Source(
            reader=self._known_reader,
            read_to=read_to,
            answers=lambda host: self._records_keeper is not None and self._records_keeper.reads(host),
            soon=soon,
            orders=self.held.orders,
        )

    def _known_reader(self, host: str) -> AgentReader | None:
        """Return who reads a host, or None where nobody knows how it is reached."""
        address = self._directory.address_of(host)
        if self._agents is None or address is None:
            return None
        return self._agents.reader(host, address)

    def _is_fresh(self) -> bool:
        return self.held.orders.is_ready and are_fresh(self._watches.guests, self._watches.assignments)

    def _reported(self, host: str) -> str | None:
        agent = self._subset.host_agents.get(host)
        return agent.status.address if agent is not None else None

    async def _learn_keys(self) -> None:
        """Wait until there is an order key; the leader makes one where there is none."""
        while not self.held.orders.is_ready:
            try:
                keys = await read_order_keys(self._client, KeySource.of(self._settings))
            except InnkeeperError as error:
                log.warning("order_key_not_read", reason=error.reason, message=error.message)
                keys = None
            if keys is not None:
                self.held.orders.trust(keys.signer, keys.previous)
                return
            await self._clock.sleep(AGAIN_S)

    async def _read_hosts(self, files: ClientFiles) -> None:
        path = _records_file(self._settings)
        if path is not None:
            self._load(path)
        async with Agents(files) as agents, asyncio.TaskGroup() as group:
            self._agents = agents
            keeper = self._records_keeper = self._keeper()
            group.create_task(self._follow_directory(keeper))
            group.create_task(keeper.run())
            if path is not None:
                group.create_task(self._save(path))

    def _keeper(self) -> RecordKeeper:
        keeper = RecordKeeper(
            self._subset,
            records=self.records,
            orders=self.held.orders,
            asked=Asked(reader=self._known_reader, listed=self._directory.listed),
            clock=self._clock,
            period_s=self._settings.host_records_s,
        )
        keeper.on_read = self._was_read
        pulls, foreign = self._metrics.pulls, self._metrics.foreign_orders
        keeper.observed_by(lambda pull: pulls.labels(outcome=pull).inc(), foreign=foreign.inc)
        self._metrics.unread.set_function(lambda: float(keeper.unread()))
        self._metrics.oldest.set_function(self._oldest_age_s)
        self.orphans.ask, self.orphans.ask_whole = keeper.ask, keeper.ask_whole
        self._watches.assignments.join(self._note_end)
        self._watches.host_agents.join(keeper.agent_changed)
        self._watches.hosts.join(keeper.host_changed)
        for watch in (self._watches.guests, self._watches.assignments):
            watch.informer.on_relist = keeper.ask_all
        return keeper

    def _was_read(self, host: str) -> None:
        """Tell who leads, if it is this process."""
        self.on_read(host)

    def _note_end(self, change: Change[Assignment]) -> None:
        """What a host says in an Assignment's status is often newer than what it was asked for."""
        assignment, host = change.new, host_of_namespace(change.key[0])
        if assignment is None or host is None or assignment.status.outcome != OrderOutcome.DESTROYED:
            return
        held = assignment.status.held or assignment.spec
        self.records.note_end(host, assignment.spec.guest_id, Rank(held.epoch, held.serial))

    def _oldest_age_s(self) -> float:
        oldest = self.records.oldest_at()
        return 0.0 if oldest is None else max(0.0, self._clock.now().timestamp() - oldest)

    async def _follow_directory(self, keeper: RecordKeeper) -> None:
        """Ask hosts that the hosts file names newly."""
        while True:
            before = self._directory.listed()
            await asyncio.to_thread(self._directory.read)
            for host in self._directory.listed() - before:
                keeper.ask(host)
            await self._clock.sleep(DIRECTORY_S)

    def _load(self, path: Path) -> None:
        """Begin from where the last process left off; without that, hosts are read whole."""
        try:
            found = host_records.decode(snapshot.read(path))
        except (SnapshotRefusedError, RecordsDamagedError) as error:
            log.info("host_records_not_used", message=str(error))
            return
        for host, record in found.items():
            self.records.replace(host, record)
        log.info("host_records_used", hosts=len(found))

    async def _save(self, path: Path) -> None:
        """Write the records now and then, and once more at an orderly end."""
        try:
            while True:
                await self._clock.sleep(self._settings.snapshot_every_s)
                await asyncio.to_thread(self._write, path, self.records.state())
        finally:
            self._write(path, self.records.state())

    def _write(self, path: Path, state: Mapping[str, HostRecord]) -> None:
        try:
            whole_files.put(path, host_records.encode(state))
        except OSError as error:
            log.warning("host_records_not_written", message=str(error))


def _records_file(settings: OperatorSettings) -> Path | None:
    """The records lie beside the snapshot, in a file of their own: they belong to hosts, not to an API server's store."""
    file = settings.snapshot_file
    return file.with_name(f"{file.name}.hosts") if file is not None else None
