"""What only the leader does: every flow, put together and run side by side.

Everything is made anew when this process begins to lead, from what its watches know by then; kopf starts last.
"""

import asyncio
from contextlib import AsyncExitStack

import structlog

from innkeeper.clock import Clock
from innkeeper.controllers.handlers import RareKinds
from innkeeper.controllers.process import RareKindHandlers
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ApiError
from innkeeper.kube.events import EventWriter
from innkeeper.kube.queue import LatestQueue
from innkeeper.processes.holdings import Holdings
from innkeeper.processes.hosts_asked import host_certificates
from innkeeper.processes.order_key import KeySource, OrderKeys, load_order_keys, who_obeys
from innkeeper.processes.telling import tell
from innkeeper.processes.watches import Watches, are_fresh
from innkeeper.settings import OperatorSettings
from innkeeper.state.standings import Standings
from innkeeper.state.subset import Subset
from innkeeper.telemetry.metrics import OperatorMetrics
from innkeeper.workers.events import GuestEvents
from innkeeper.workers.flow import GuestFlow
from innkeeper.workers.hosts.flow import HostFlow, Identities
from innkeeper.workers.hosts.histories import HistoryTeller
from innkeeper.workers.hosts.silence import Silence
from innkeeper.workers.hosts.statuses import HostStatuses, pulse
from innkeeper.workers.operations import OperationFlow
from innkeeper.workers.orphans.keeper import OrphanKeeper
from innkeeper.workers.rare.clusters import Clusters
from innkeeper.workers.rare.image_server import ImageServer
from innkeeper.workers.rare.images import Images
from innkeeper.workers.rare.pools import Pools
from innkeeper.workers.recounting import Recounting
from innkeeper.workers.sweeper import Sweeper

log = structlog.get_logger(__name__)

COUNTERS_WAIT_S = 2.0
AGAIN_S = 2.0
OPERATOR_COMPONENT = "innkeeper-operator"  # as Events name it


class Leader:
    """The flows of one term as leader."""

    def __init__(
        self,
        settings: OperatorSettings,
        *,
        client: Client,
        clock: Clock,
        metrics: OperatorMetrics,
        subset: Subset,
        watches: Watches,
        holdings: Holdings,
        identity: str,
    ) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._metrics = metrics
        self._subset = subset
        self._watches = watches
        self._holdings = holdings
        self._identity = identity

    async def run(self) -> None:
        """Work until cancelled."""
        keys = await self._order_keys()
        self._holdings.held.orders.trust(keys.signer, keys.previous)
        log.info("leader_starts", order_key=keys.signer.key_id)
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(self._image_server())
            self._follow_guest_crd()
            self._tell()
            statuses, hosts = self._host_statuses(), self._host_flow(keys)
            pools, clusters = self._pools(), self._clusters()
            images = Images(
                self._client,
                server,
                users=self._subset.guests_of_image,
                clock=self._clock,
                metrics=self._metrics,
            )
            group = await stack.enter_async_context(asyncio.TaskGroup())
            beat = pulse(
                self._client, namespace=self._settings.namespace, identity=self._identity, clock=self._clock
            )
            guests = self._guest_flow(keys)
            statuses.give_way(lambda: guests.depth > 0)
            histories = self._histories()
            own = (
                self._operations(),
                histories,
                self._events(histories),
                self._sweeper(guests),
                self._recounting(),
                self._orphan_keeper(),
            )
            for work in (beat, statuses, hosts, pools, clusters, guests, *own):
                group.create_task(work.run())
            handlers = self._handlers(RareKinds(images=images, pools=pools, clusters=clusters))
            group.create_task(handlers.run())

    async def _order_keys(self) -> OrderKeys:
        source = KeySource.of(self._settings)
        while True:
            try:
                return await load_order_keys(self._client, source, obeyed=who_obeys(self._subset))
            except ApiError as error:
                log.warning("order_key_not_read", reason=error.reason, message=error.message)
                await self._clock.sleep(AGAIN_S)

    def _tell(self) -> None:
        standings = Standings(host_is_told_silent=self._subset.host_is_told_silent)
        self._watches.guests.join(standings.guest_changed)
        tell(self._metrics, self._subset, standings, self._clock)

    def _guest_flow(self, keys: OrderKeys) -> GuestFlow:
        flow = GuestFlow(
            self._client,
            self._subset,
            clock=self._clock,
            signer=keys.signer,
            held=self._holdings.held,
            images_url=self._settings.images_base_url,
            workers=self._settings.guest_workers,
        )
        self._metrics.queues.queue("guests", flow.queue)
        flow.observed_by(self._metrics.binds.observe)
        flow.scheduler.observed_by(
            lambda outcome, seconds: self._metrics.decisions.labels(outcome=outcome).observe(seconds)
        )
        return flow

    def _histories(self) -> HistoryTeller:
        teller = HistoryTeller(
            self._client, self._subset, source=self._holdings.histories(), clock=self._clock
        )
        steps = self._metrics.history_steps
        teller.observe = lambda outcome, count: steps.labels(outcome=outcome).inc(count)
        self._holdings.on_read = teller.ask
        return teller

    def _operations(self) -> OperationFlow:
        flow = OperationFlow(self._client, self._subset, clock=self._clock)
        ends = self._metrics.guest_operations
        flow.observe = lambda kind, phase: ends.labels(operation=kind, outcome=phase).inc()
        return flow

    def _events(self, histories: HistoryTeller) -> EventWriter:
        writer = EventWriter(
            self._client, clock=self._clock, component=OPERATOR_COMPONENT, instance=self._identity
        )
        events = GuestEvents(self._subset, tell=writer.tell, told_by_host=histories.expects)
        self._watches.guests.join(events.guest_changed)
        self._watches.operations.join(events.operation_changed)
        return writer

    def _sweeper(self, guests: GuestFlow) -> Sweeper:
        watches = self._watches
        return Sweeper(
            self._subset,
            network=guests.network,
            clock=self._clock,
            fresh=lambda: are_fresh(watches.guests, watches.assignments, watches.addresses, watches.pools),
            is_held=self._holdings.held.is_held,
            is_denied=self._holdings.held.is_denied,
            found=lambda finding: self._metrics.address_findings.labels(finding=finding).inc(),
        )

    def _orphan_keeper(self) -> OrphanKeeper:
        return OrphanKeeper(
            self._client,
            self._subset,
            orphans=self._holdings.orphans,
            policy=self._settings.orphan_policy,
            clock=self._clock,
        )

    def _recounting(self) -> Recounting:
        return Recounting(
            self._subset,
            clock=self._clock,
            period_s=self._settings.recount_s,
            drifted=lambda kind, count: self._metrics.subset_drift.labels(kind=kind).inc(count),
        )

    def _image_server(self) -> ImageServer:
        url = self._settings.images_base_url
        if url.startswith("http://"):
            # Tokens of the operator and of every agent travel to it.
            log.warning("image_server_without_tls", url=url)
        return ImageServer(
            url,
            credentials=self._client.credentials,
            ca_file=self._settings.images_ca_file,
        )

    def _follow_guest_crd(self) -> None:
        def look(_: object) -> None:
            self._subset.guest_crd_terminating = self._watches.guest_crd_terminating()

        self._watches.crds.join(look)

    def _host_flow(self, keys: OrderKeys) -> HostFlow:
        watches = self._watches
        queue: LatestQueue[str] = LatestQueue(self._clock)
        self._metrics.queues.queue("hosts", queue)
        flow = HostFlow(
            self._client,
            subset=self._subset,
            identities=Identities(
                namespaces=watches.namespaces.informer.objects,
                accounts=watches.accounts.informer.objects,
                roles=watches.roles.informer.objects,
                bindings=watches.bindings.informer.objects,
            ),
            queue=queue,
            order_keys=keys.published(),
            assume=watches.assume,
            certificate=host_certificates(self._settings, self._clock),
            workers=self._settings.host_workers,
        )
        watches.follow_hosts(flow)
        return flow

    def _host_statuses(self) -> HostStatuses:
        watches = self._watches
        silence = Silence(limit_s=self._settings.host_silence_s)
        self._metrics.silence_held_back.set_function(silence.held_back)
        self._metrics.heartbeat_oldest_age.set_function(silence.longest_quiet_s)
        statuses = HostStatuses(
            self._client,
            subset=self._subset,
            silence=silence,
            lease_age_s=watches.leases.informer.age_s,
            clock=self._clock,
            delay_s=self._settings.host_status_delay_s,
        )
        watches.follow_host_statuses(statuses)
        return statuses

    def _pools(self) -> Pools:
        pools = Pools(
            self._client,
            pools=self._watches.pools.informer.objects,
            clock=self._clock,
            delay_s=COUNTERS_WAIT_S,
            held=self._held_of_pool,
        )
        self._watches.pools.join(pools.pool_changed)
        self._watches.addresses.join(pools.address_changed)
        return pools

    def _held_of_pool(self, name: str) -> int | None:
        return self._subset.claims.held_of_pool(name) if are_fresh(self._watches.addresses) else None

    def _clusters(self) -> Clusters:
        clusters = Clusters(
            self._client,
            clusters=self._watches.clusters.informer.objects,
            hosts=self._watches.hosts.informer.objects,
            clock=self._clock,
            delay_s=COUNTERS_WAIT_S,
        )
        self._watches.clusters.join(clusters.cluster_changed)
        self._watches.hosts.join(clusters.host_changed)
        return clusters

    def _handlers(self, rare: RareKinds) -> RareKindHandlers:
        return RareKindHandlers(
            rare,
            credentials=self._client.credentials,
            kinds_exist=self._watches.rare_kinds_exist,
            recheck_s=self._settings.image_recheck_s,
            clock=self._clock,
            metrics=self._metrics,
        )
