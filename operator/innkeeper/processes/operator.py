"""The operator's process: watches in every replica, work in the one that leads.

What holds state is made here and handed down. Losing the Lease ends the process, since a new start is the one sure way
to forget what was half done; a signal ends it in order and gives the Lease up.
"""

import asyncio
import os
import platform
import secrets
from contextlib import AsyncExitStack

import structlog
from prometheus_client import CollectorRegistry

from innkeeper import __version__
from innkeeper.clock import Clock, SystemClock
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.lease import LeaderElection
from innkeeper.kube.reviews import AccessReviews, TokenReviews
from innkeeper.processes import garbage
from innkeeper.processes.gate import Gate, HistoryLostError
from innkeeper.processes.holdings import Holdings
from innkeeper.processes.leader import Leader
from innkeeper.processes.snapshots import Snapshots
from innkeeper.processes.watches import Watches
from innkeeper.query.ages import ViewAges
from innkeeper.query.callers import Callers
from innkeeper.query.listener import Address, QueryListener
from innkeeper.query.server import QueryServer
from innkeeper.query.trust import Trust
from innkeeper.settings import OperatorSettings
from innkeeper.state.subset import Subset
from innkeeper.telemetry import logs
from innkeeper.telemetry.certificates import CertificateMetrics
from innkeeper.telemetry.definition import Process
from innkeeper.telemetry.metrics import (
    HostRecordMetrics,
    OperatorMetrics,
    ProcessMetrics,
    QueryMetrics,
    RebuildMetrics,
    SnapshotMetrics,
    WatchMetrics,
)
from innkeeper.telemetry.readiness import Readiness
from innkeeper.telemetry.server import TelemetryServer
from innkeeper.workers.explaining import Explainer
from innkeeper.workers.orphans.word import OrphanWord

log = structlog.get_logger(__name__)

LEASE_NAME = "innkeeper-operator"
STALE_S = 900.0  # how long an answer about a caller counts while the API server cannot give a new one


async def run_operator(settings: OperatorSettings) -> None:
    """Run until cancelled, or until the Lease is lost.

    Raises:
        InnkeeperError: the process cannot go on.
    """
    logs.configure(form=settings.log_format, level=settings.log_level, process="operator")
    garbage.collect_rarely()
    credentials = Credentials.load(settings.kubeconfig)
    async with Client(credentials) as client:
        await OperatorProcess(settings, client=client, clock=SystemClock()).run()


class OperatorProcess:
    """One replica of the operator."""

    def __init__(self, settings: OperatorSettings, *, client: Client, clock: Clock) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self.registry = CollectorRegistry()
        self._metrics = OperatorMetrics(self.registry)
        self._readiness = Readiness()
        self.identity = settings.identity or f"{platform.node()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.leading = False
        self._listener: QueryListener | None = None
        self.snapshots: Snapshots | None = None
        self.subset = Subset()
        self.watches = Watches(client, clock=clock, subset=self.subset)
        self._gate = Gate(
            settings,
            client=client,
            clock=clock,
            watches=self.watches,
            subset=self.subset,
            metrics=RebuildMetrics(self.registry),
        )
        self._readiness.add("hosts-heard", lambda: self._gate.trouble)
        self.holdings = Holdings(
            settings,
            client=client,
            clock=clock,
            watches=self.watches,
            subset=self.subset,
            metrics=HostRecordMetrics(self.registry),
        )

    @property
    def query_port(self) -> int:
        """The port on which queries are answered; 0 where they are not."""
        return self._listener.port if self._listener is not None else 0

    async def run(self) -> None:
        """Watch, and work while leading, until cancelled or the Lease is lost."""
        log.info("operator_starts", version=__version__, identity=self.identity)
        self._tell()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(
                TelemetryServer(
                    listen=self._settings.listen,
                    port=self._settings.metrics_port,
                    registry=self.registry,
                    readiness=self._readiness,
                )
            )
            await self._begin_from_snapshot()
            listener = self._listener = self._query_listener()
            if listener is not None:
                await stack.enter_async_context(listener)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            if listener is not None:
                group.create_task(listener.run())
            for watch in self.watches.all:
                group.create_task(watch.informer.run())
            group.create_task(self.holdings.run())
            if self.snapshots is not None:
                group.create_task(self.snapshots.fill())
                group.create_task(self.snapshots.run())
            group.create_task(self._elect())

    async def _begin_from_snapshot(self) -> None:
        if self._settings.snapshot_file is None:
            return
        self.snapshots = Snapshots(
            self._settings.snapshot_file,
            client=self._client,
            clock=self._clock,
            watches=self.watches,
            namespace=self._settings.namespace,
            every_s=self._settings.snapshot_every_s,
            metrics=SnapshotMetrics(self.registry),
        )
        self._gate.snapshots = self.snapshots
        await self.snapshots.begin()

    def _query_listener(self) -> QueryListener | None:
        """Queries are answered by every replica: each has the whole view."""
        certificate, key = self._settings.query_certificate_file, self._settings.query_key_file
        if certificate is None or key is None:
            return None
        guests = self.watches.guests.informer
        callers = Callers(Trust(), TokenReviews(self._client, self._clock, stale_s=STALE_S))
        server = QueryServer(
            self.subset,
            callers=callers,
            access=AccessReviews(self._client, self._clock, stale_s=STALE_S),
            explainer=Explainer(self.subset, self._clock),
            ages=ViewAges(of_guests=guests.age_s, of_all=self.watches.placing_age_s),
            version=lambda: guests.resource_version,
            is_complete=lambda: all(watch.informer.synced.is_set() for watch in self.watches.all),
            clock=self._clock,
        )
        orphans = self.holdings.orphans
        server.tell_of_orphans(orphans, OrphanWord(self._client, self.subset, orphans))
        server.tell_of_consoles(self.holdings.console)
        server.tell_of_usage(self.holdings.usage)
        server.observed_by(QueryMetrics(self.registry).answered)
        address = Address(
            listen=self._settings.query_listen,
            port=self._settings.query_port,
            certificate=certificate,
            key=key,
        )
        return QueryListener(server, address, callers=callers, client=self._client, clock=self._clock)

    def _tell(self) -> None:
        self._client.observed_by(ProcessMetrics(self.registry, process=Process.OPERATOR).wrote)
        self._tell_of_certificates()
        metrics = WatchMetrics(self.registry)
        for watch in self.watches.all:
            kind = watch.informer.resource.plural
            objects = watch.informer.objects
            metrics.watch(kind, watch.informer, count=objects.__len__)
            metrics.informer(kind, watch.informer)
            self._readiness.watch(kind, watch.informer)

    def _tell_of_certificates(self) -> None:
        metrics, settings = CertificateMetrics(self.registry), self._settings
        metrics.follows("query", settings.query_certificate_file)
        metrics.follows("hosts-ca", settings.hosts_ca_file)
        metrics.follows("hosts", settings.hosts_certificate_file)
        metrics.follows("images-ca", settings.images_ca_file)

    async def _elect(self) -> None:
        while True:
            await self._gate.opened()
            if not self._settings.leader_election:
                await self._lead()
                continue
            election = LeaderElection(
                self._client,
                namespace=self._settings.namespace,
                name=LEASE_NAME,
                identity=self.identity,
                clock=self._clock,
            )
            self._metrics.lease_age.set_function(election.age_s)
            await election.run(self._lead)

    async def _lead(self) -> None:
        """Work for ever; end where a person has to act first, so that the Lease is free."""
        await self.watches.synced()
        if not await self._gate.enter():
            return
        garbage.spare_what_is_here()
        self._note_leading(leading=True)
        try:
            leader = Leader(
                self._settings,
                client=self._client,
                clock=self._clock,
                metrics=self._metrics,
                subset=self.subset,
                watches=self.watches,
                holdings=self.holdings,
                identity=self.identity,
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(self._gate.guard())
                group.create_task(leader.run())
        except* HistoryLostError:
            # Nothing is decided any more. Whoever leads next need not know what this process knows.
            await self._gate.note_lost()
            raise
        finally:
            self._note_leading(leading=False)

    def _note_leading(self, *, leading: bool) -> None:
        self.leading = leading
        if leading:
            self.watches.unused.clear()
        else:
            self.watches.unused.set()
        self._metrics.leader.set(float(leading))
