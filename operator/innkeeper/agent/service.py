"""One host's agent, put together: store, machines, informers, reconciler, reports, heartbeat.

Several may run in one process, each with its own parts. What it needs from outside is handed in, and it never ends by
itself.
"""

import asyncio
import uuid
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from innkeeper import __version__
from innkeeper.agent.admitting import Admitting
from innkeeper.agent.asking import Asking
from innkeeper.agent.build.builder import Builder
from innkeeper.agent.copied import Copied
from innkeeper.agent.drivers.patient import PatientDriver
from innkeeper.agent.figures import AgentFigures
from innkeeper.agent.host_api.listener import HostApiListener
from innkeeper.agent.host_api.server import HostApi
from innkeeper.agent.host_orders import HostOrders
from innkeeper.agent.host_report import UNKNOWN, HostReport
from innkeeper.agent.inventory import Inventory
from innkeeper.agent.jobs import Jobs
from innkeeper.agent.ledger import Ledger
from innkeeper.agent.local.socket import LocalSocket
from innkeeper.agent.local.verbs import Verbs
from innkeeper.agent.local.wishes import Wishes
from innkeeper.agent.only_one import AnotherOneError, only_one
from innkeeper.agent.operations.book import OperationBook
from innkeeper.agent.operations.operating import Operating
from innkeeper.agent.parts import AgentParts
from innkeeper.agent.pivot import LONGEST_REST_S, LOOK_S, Pivot
from innkeeper.agent.readiness.prober import Prober
from innkeeper.agent.reconcile import Identity, Reconciler
from innkeeper.agent.report import AssignmentReport, is_same_order
from innkeeper.agent.slots import Slots
from innkeeper.agent.sole_agent import heartbeat_of
from innkeeper.agent.start_gate import StartGate
from innkeeper.agent.store.opening import StoreDamagedError, StoreUnusableError
from innkeeper.agent.store.operations import OperationRecord
from innkeeper.agent.store.records import COPIED_AT, TRUSTS_COPY, Ready
from innkeeper.agent.store.store import Store
from innkeeper.agent.usage import UsageMeter
from innkeeper.agent.user_data import SecretUserData
from innkeeper.agent.work import GuestWork
from innkeeper.domain import names
from innkeeper.errors import InnkeeperError
from innkeeper.kube.informer import Change, Informer
from innkeeper.kube.queue import LatestQueue
from innkeeper.kube.resources import ASSIGNMENTS, HOST_AGENTS
from innkeeper.kube.sole_heartbeat import SoleHeartbeat
from innkeeper.kube.status_writer import StatusWriter
from innkeeper.telemetry.definition import by_value
from innkeeper.views.assignment import Assignment
from innkeeper.views.host import HostAgent

_HOST = ""  # the queue's key for the host itself: no guest has an empty ID
_LOCK_S = 2.0
HEARTBEAT_DURATION_S = 40.0


async def run(parts: AgentParts) -> None:
    """Run one host's agent until it is cancelled."""
    async with AsyncExitStack() as stack:
        await _be_the_only_one(parts, stack)
        store = await Store.open(parts.paths.database, host=parts.host, new_id=str(uuid.uuid4()))
        stack.push_async_callback(store.close)
        copied_at, trusts_copy = await store.meta(COPIED_AT), await store.meta(TRUSTS_COPY) is not None
        await Agent(parts, store, copied_at=copied_at or "", trusts_copy=trusts_copy).run()


async def _be_the_only_one(parts: AgentParts, stack: AsyncExitStack) -> None:
    """Take the lock; a person's command may hold it for a moment while no agent runs."""
    end = parts.clock.monotonic() + _LOCK_S
    while True:
        try:
            stack.enter_context(only_one(parts.paths.lock, who="agent"))
        except AnotherOneError:
            if parts.clock.monotonic() >= end:
                raise
            await parts.clock.sleep(_LOCK_S / 10)
        else:
            return


class Agent:
    """One host's agent on its open store. `run` ends only when it is cancelled."""

    def __init__(self, parts: AgentParts, store: Store, *, copied_at: str, trusts_copy: bool) -> None:
        self._parts = parts
        self._store = store
        self._copied_at = copied_at
        self._namespace = names.host_namespace(parts.host)
        self._log = structlog.get_logger(__name__).bind(host=parts.host)
        self._driver = PatientDriver(parts.driver)
        self._usage = UsageMeter(parts.host, self._driver, parts.clock)
        self._queue: LatestQueue[str] = LatestQueue(parts.clock, rank=self._rank)
        self._figures = AgentFigures(parts.registry)
        boot_id = "" if parts.boot_id == UNKNOWN else parts.boot_id
        self._ledger = Ledger(store, parts.clock, on_shown=self._shown_changed, boot_id=boot_id)
        self._book = OperationBook(store, on_news=self._operation_changed)
        self._host_orders = HostOrders(store, parts.pinned_keys)
        self._inventory = Inventory(
            self._driver,
            parts.clock,
            on_phase=self._phase_changed,
            on_trouble=self._touch_host,
            on_read=self._hypervisor_read,
        )
        self._unkept: dict[str, InnkeeperError] = {}  # whose order the store did not take
        self._jobs = Jobs(on_end=self._queue.add)
        self._asking = Asking(parts.network, clock=parts.clock, wake=self._queue.add)
        self._prober = Prober(parts.asker, parts.clock, on_change=self._queue.add)
        self._gate = StartGate(
            parts.clock,
            store_id=store.store_id,
            grace_s=parts.api_grace_s,
            on_open=self._wake_held,
            trusts_copy=trusts_copy,
        )
        self._assignments: Informer[Assignment] = Informer(
            parts.client,
            ASSIGNMENTS,
            on_change=self._assigned,
            clock=parts.clock,
            namespace=self._namespace,
        )
        self._host_agents: Informer[HostAgent] = Informer(
            parts.client,
            HOST_AGENTS,
            on_change=self._host_changed,
            clock=parts.clock,
            namespace=self._namespace,
        )
        for each in (self._assignments, self._host_agents):
            each.longest_pause_s = self._gate.longest_pause_s
        self._report = AssignmentReport(
            namespace=self._namespace,
            shown=self._shown,
            operation=self._operation,
            built_epoch=self._built_epoch,
            read=self._assignments.objects.get,
            touch=self._touch_assignment,
            clock=parts.clock,
        )
        self._statuses = StatusWriter(
            parts.client,
            ASSIGNMENTS,
            clock=parts.clock,
            render=self._report.render,
            read=self._assignments.objects.get,
            written=self._assignments.assume,
            workers=4,
        )
        self._api = self._listener()
        self._host_statuses = self._host_writer()
        self._reconciler = self._new_reconciler()

    def _rank(self, guest_id: str) -> tuple[int, int, str]:
        """First the host's own orders, then guests that are here in the order of their start, then new ones.

        Of new orders that come at once the lower epoch is judged first, then the older: what is left may not fit.
        """
        if guest_id == _HOST:
            return (0, 0, "")
        held = self._ledger.get(guest_id)
        if held is not None and held.is_promised:
            before, since, _ = held.start_rank
            return (1, before, since)
        found = self._assignments.objects.get((self._namespace, guest_id))
        return (2, found.spec.epoch, found.metadata.creation_timestamp) if found else (2, 0, "")

    async def run(self) -> None:
        """Run the agent until it is cancelled. It waits for no hypervisor: who needs one looks at the inventory."""
        parts, store = self._parts, self._store
        async with AsyncExitStack() as stack:
            await self._ledger.load()
            stack.push_async_callback(self._ledger.flush_history)
            await self._book.load()
            await self._host_orders.load()
            self._log.info(
                "agent_started",
                store=store.store_id,
                version=__version__,
                driver=self._driver.name,
                guests=len(self._ledger),
            )
            self._tell_figures()
            await self._reconciler.work.finish_forgetting()
            stack.push_async_callback(self._prober.close)
            stack.push_async_callback(self._asking.close)
            stack.push_async_callback(self._jobs.close)
            heartbeat = await heartbeat_of(
                parts.host,
                store=store,
                drawn=uuid.uuid4().hex[:8],
                boot_id=parts.boot_id,
                client=parts.client,
                namespace=self._namespace,
                clock=parts.clock,
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._work(heartbeat), name="work")
                if parts.backups is not None:
                    tasks.create_task(parts.backups.run(store), name="backups")

    async def _work(self, heartbeat: SoleHeartbeat) -> None:
        parts, reconciler = self._parts, self._reconciler
        self._figures.lease_age.set_function(heartbeat.age_s)
        listed = (self._assignments.synced, self._host_agents.synced, heartbeat.undisputed)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                self._gate.run(
                    listed,
                    is_unsettled=lambda: heartbeat.is_disputed or heartbeat.ours.is_set(),
                ),
                name="start gate",
            )
            # Machines first: nothing is started before it is known what runs already.
            tasks.create_task(self._inventory.run(), name="inventory")
            tasks.create_task(
                parts.network.run(reconciler.network_wanted, on_trouble=self._touch_host),
                name="network",
            )
            for number in range(parts.workers):
                tasks.create_task(self._worker(), name=f"worker {number}")
            tasks.create_task(self._ledger.keep_history(), name="history")
            tasks.create_task(self._local_socket().run(), name="local socket")
            tasks.create_task(self._pivot().run(), name="streams")
            tasks.create_task(self._assignments.run(), name="assignments")
            tasks.create_task(self._host_agents.run(), name="host agent")
            tasks.create_task(_after(heartbeat.ours, self._statuses.run()), name="statuses")
            tasks.create_task(_after(heartbeat.ours, self._host_statuses.run()), name="host status")
            beat = heartbeat.run(period_s=parts.heartbeat_s, duration_s=HEARTBEAT_DURATION_S)
            tasks.create_task(beat, name="heartbeat")
            tasks.create_task(parts.certificate.run(self._touch_host), name="certificate")
            if self._api is not None:
                tasks.create_task(self._api.run(), name="host API")

    def _new_reconciler(self) -> Reconciler:
        parts, store_id = self._parts, self._store.store_id
        work = GuestWork(
            ledger=self._ledger,
            driver=self._driver,
            network=parts.network,
            images=parts.images,
            user_data=SecretUserData(parts.client, self._namespace),
            builder=Builder(self._figures),
            paths=parts.paths,
            stop_grace_s=parts.stop_grace_s,
        )
        start_slots = Slots(parts.max_builds)
        copied = Copied(self._ledger, self._inventory, store_id, copied_at=self._copied_at)
        return Reconciler(
            identity=Identity(host=parts.host, store_id=store_id),
            ledger=self._ledger,
            inventory=self._inventory,
            host_orders=self._host_orders,
            admitting=Admitting(
                ledger=self._ledger,
                inventory=self._inventory,
                copied=copied,
                host_orders=self._host_orders,
                network=parts.network,
                asking=self._asking,
                paths=parts.paths,
                clock=parts.clock,
            ),
            copied=copied,
            prober=self._prober,
            work=work,
            operating=Operating(
                book=self._book,
                ledger=self._ledger,
                driver=self._driver,
                work=work,
                start_slots=start_slots,
                clock=parts.clock,
            ),
            jobs=self._jobs,
            report=self._report,
            figures=self._figures,
            clock=parts.clock,
            wake=self._wake,
            gate=self._gate,
            build_slots=Slots(parts.max_builds),
            start_slots=start_slots,
        )

    def _local_socket(self) -> LocalSocket:
        wishes = Wishes(self._ledger, self._store.store_id, self._parts.clock)
        verbs = Verbs(wishes, self._reconciler, wake=self._queue.add)
        return LocalSocket(self._parts.paths.socket, verbs.answer)

    def _pivot(self) -> Pivot:
        parts = self._parts
        return Pivot(
            ledger=self._ledger,
            inventory=self._inventory,
            jobs=self._jobs,
            driver=self._driver,
            images=parts.images,
            paths=parts.paths,
            queue=LatestQueue(parts.clock, first_delay_s=LOOK_S, last_delay_s=LONGEST_REST_S),
            pull_bytes_per_s=parts.pull_bytes_per_s,
            wake=self._queue.add,
            on_held=lambda: self._touch_host(urgent=False),
        )

    def _listener(self) -> HostApiListener | None:
        if self._parts.api is None:
            return None
        api = HostApi(self._store, self._figures, console_log=self._console_log, usage=self._usage.read)
        return HostApiListener(
            api.application,
            self._parts.api,
            figures=self._figures,
            clock=self._parts.clock,
            on_change=self._touch_host,
        )

    def _console_log(self, guest_id: str) -> Path | None:
        held = self._ledger.get(guest_id) is not None
        return self._parts.paths.guest(guest_id).console_log if held else None

    def _host_writer(self) -> StatusWriter[HostAgent]:
        report = HostReport(
            store_id=self._store.store_id,
            boot_id=self._parts.boot_id,
            driver=self._driver.name,
            hypervisor=lambda: self._inventory.hypervisor,
            trouble=lambda: self._inventory.trouble,
            network_trouble=lambda: self._parts.network.trouble,
            store_trouble=lambda: next(iter(self._unkept.values()), None),
            address=lambda: self._api.address if self._api is not None else None,
            images=self._parts.images.held,
            read=self._host_agents.objects.get,
            clock=self._parts.clock,
            certificate_request=self._parts.certificate.request,
        )
        return StatusWriter(
            self._parts.client,
            HOST_AGENTS,
            clock=self._parts.clock,
            render=report.render,
            read=self._host_agents.objects.get,
            written=self._host_agents.assume,
            workers=1,
        )

    async def _worker(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                if key == _HOST:
                    await self._follow_host()
                else:
                    await self._reconciler.reconcile(
                        key, self._assignments.objects.get((self._namespace, key))
                    )
            except InnkeeperError as error:
                self._log.warning("reconcile_failed", guest=key, reason=error.reason, message=error.message)
                is_of_store = isinstance(error, StoreUnusableError | StoreDamagedError)
                self._note_store(key, error if is_of_store else None)
                self._queue.failed(key)
            except Exception:  # noqa: BLE001 - one guest that breaks our own code must not stop the others
                self._log.exception("reconcile_broke", guest=key)
                self._queue.failed(key)
            else:
                self._note_store(key, None)
                self._queue.done(key)
            self._gate.read(key)

    def _note_store(self, guest_id: str, error: InnkeeperError | None) -> None:
        """Have the host say that it cannot keep an order, which it therefore never answered, until it can."""
        if error is not None:
            self._unkept[guest_id] = error
        elif self._unkept.pop(guest_id, None) is None:
            return
        self._touch_host()

    async def _follow_host(self) -> None:
        agent, orders = (
            self._host_agents.objects.get((self._namespace, names.HOST_AGENT_NAME)),
            self._host_orders,
        )
        if agent is not None and await orders.update(agent):
            self._log.info("host_orders_changed", bridge=agent.spec.network.base, keys=len(orders.keys))
            for _, guest_id in self._assignments.objects:
                self._arrived(guest_id)

    def _assigned(self, change: Change[Assignment]) -> None:
        guest_id, old, new = change.key[1], change.old, change.new
        if new is None:
            # Nobody's absence is an order: the guest runs on, and there is nothing left to report on.
            self._report.forget(guest_id)
        elif old is None or not is_same_order(old, new):
            self._arrived(guest_id)
        elif old.status != new.status:
            # Our own word that came back, or one from before, in a store that was put back.
            self._report.touch(guest_id, urgent=False)

    def _host_changed(self, change: Change[HostAgent]) -> None:
        if change.new is not None and change.key[1] == names.HOST_AGENT_NAME:
            self._arrived(_HOST)
            self._parts.certificate.take(change.new.spec.certificate)
            self._touch_host(urgent=change.new.status.store_id is None)

    def _arrived(self, key: str) -> None:
        self._gate.arrived(key)
        self._queue.add(key)

    def _wake(self, guest_id: str, after_s: float) -> None:
        self._queue.add(guest_id, after_s=after_s)

    def _wake_held(self) -> None:
        """Have every guest that is held here looked at, in the order in which they start."""
        for guest in sorted(self._ledger.accepted(), key=lambda each: each.start_rank):
            self._queue.add(guest.order.guest_id)

    def _hypervisor_read(self) -> None:
        """Have all looked at that waited for it: guests that are held, orders of others, and the report of the host."""
        self._wake_held()
        for _, guest_id in self._assignments.objects:
            self._queue.add(guest_id)
        self._touch_host()

    def _phase_changed(self, guest_id: str) -> None:
        if self._ledger.get(guest_id) is not None:
            self._queue.add(guest_id)
        elif guest_id in self._inventory.phases:
            self._log.warning("domain_unknown", guest=guest_id, phase=str(self._inventory.phases[guest_id]))

    def _shown(self, guest_id: str) -> Ready | None:
        guest = self._ledger.get(guest_id)
        return None if guest is None else guest.shown

    def _operation(self, guest_id: str) -> OperationRecord | None:
        guest = self._ledger.get(guest_id)
        return None if guest is None else self._book.get(guest.order)

    def _built_epoch(self, guest_id: str) -> int | None:
        guest = self._ledger.get(guest_id)
        return None if guest is None else guest.built_epoch

    def _operation_changed(self, guest_id: str) -> None:
        self._report.touch(guest_id, urgent=True)

    def _shown_changed(self, guest_id: str, urgent: bool) -> None:  # noqa: FBT001 - a callback with two facts
        self._report.touch(guest_id, urgent=urgent)

    def _touch_assignment(self, key: tuple[str, str], *, urgent: bool = False) -> None:
        self._statuses.touch(key, urgent=urgent)

    def _touch_host(self, *, urgent: bool = True) -> None:
        self._host_statuses.touch((self._namespace, names.HOST_AGENT_NAME), urgent=urgent)

    def _tell_figures(self) -> None:
        self._figures.guests.set_function(lambda: len(self._ledger))
        self._figures.guest_states.samples = lambda: by_value(self._ledger.by_reason())
        self._figures.crashing.set_function(self._reconciler.crashing)
        self._figures.queues.queue("agent", self._queue)
        self._figures.domains.set_function(
            lambda: sum(1 for phase in self._inventory.phases.values() if phase.alive)
        )
        readiness = self._parts.readiness
        readiness.add("hypervisor", lambda: self._inventory.trouble or self._unread())
        readiness.add("network", lambda: self._parts.network.trouble)
        readiness.add("host API", lambda: self._api.trouble if self._api is not None else None)
        readiness.watch("assignments", self._assignments)
        readiness.watch("hostagents", self._host_agents)

    def _unread(self) -> str | None:
        return None if self._inventory.known.is_set() else "the machines were not read yet"


async def _after(event: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Begin work once an event is set."""
    try:
        await event.wait()
    except BaseException:
        work.close()
        raise
    await work
