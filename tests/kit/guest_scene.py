"""The guests' part of the operator in front of a fake API server, with hosts that obey: what scenario tests act on.

An operator here is what one process has of it: client, watches, subset, flow, sweeper. It can be killed at any point and
started again with an empty memory; API server and hosts outlive it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from innkeeper.clock import Clock, SystemClock
from innkeeper.domain import names
from innkeeper.domain.orders import Signer, peek
from innkeeper.kube import resources
from innkeeper.kube.client import Client
from innkeeper.kube.events import EventWriter
from innkeeper.kube.informer import Change, Informer, version_of
from innkeeper.kube.resources import (
    ASSIGNMENTS,
    GUEST_OPERATIONS,
    GUESTS,
    HOSTS,
    IP_ADDRESSES,
    NAMESPACES,
    Resource,
)
from innkeeper.state import waiting
from innkeeper.state.host_records import Cursor, HeldGuest, HostRecord, HostRecords
from innkeeper.state.subset import Subset
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from innkeeper.views.guestoperation import GuestOperation
from innkeeper.views.meta import Condition
from innkeeper.views.network import IPAddress
from innkeeper.workers.events import GuestEvents
from innkeeper.workers.flow import GuestFlow
from innkeeper.workers.held import HeldByHosts
from innkeeper.workers.operations import OperationFlow
from innkeeper.workers.order_reader import OrderReader
from innkeeper.workers.orphans.finding import Orphans
from innkeeper.workers.orphans.word import OrphanWord
from innkeeper.workers.sweeper import Finding, Sweeper
from tests.kit import objects
from tests.kit.fake_api import Call, FakeApi
from tests.kit.obedient_host import ObedientHost
from tests.kit.objects import NAMESPACE, Document, view
from tests.kit.waiting import eventually

SIGNER = Signer(b"\x05" * 32)
IMAGES_URL = "http://images.example:8470"

_KINDS: tuple[Resource[Any], ...] = (
    resources.GUESTS,
    resources.GUEST_OPERATIONS,
    resources.ASSIGNMENTS,
    resources.HOSTS,
    resources.HOST_AGENTS,
    resources.IP_ADDRESSES,
    resources.IP_POOLS,
    resources.FLAVORS,
    resources.IMAGES,
    resources.CLUSTERS,
)


class Operator:
    """One running operator, as far as guests go."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock,
        status_delay_s: float,
        signer: Signer = SIGNER,
        previous: Signer | None = None,
    ) -> None:
        self.subset = Subset()
        self.records = HostRecords()
        self.found: list[Finding] = []
        self.client = client
        self._clock = clock
        self._status_delay_s = status_delay_s
        self._signer = signer
        self._previous = previous
        self.ended_operations: list[tuple[str, str]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.informers: list[Informer[Any]] = []
        self._writer = EventWriter(client, clock=clock, component="operator", instance="o")
        self._events = GuestEvents(self.subset, tell=self._writer.tell)

    async def start(self) -> None:
        """Learn everything, then work."""
        for kind in _KINDS:
            informer: Informer[Any] = Informer(self.client, kind, on_change=self._changed, clock=self._clock)
            self.subset.attach(kind.view, informer.assume)
            self.informers.append(informer)
            self._tasks.append(asyncio.create_task(informer.run()))
        for informer in self.informers:
            async with asyncio.timeout(10):
                await informer.synced.wait()
        orders = OrderReader(self._signer, self._previous)
        self.held = HeldByHosts(self.subset, self.records, orders)
        self.orphans = Orphans(self.held, clock=self._clock, fresh=self._is_fresh)
        self.word = OrphanWord(self.client, self.subset, self.orphans)
        self.flow = GuestFlow(
            self.client,
            self.subset,
            clock=self._clock,
            signer=self._signer,
            held=self.held,
            images_url=IMAGES_URL,
            status_delay_s=self._status_delay_s,
        )
        self.sweeper = Sweeper(
            self.subset,
            network=self.flow.network,
            clock=self._clock,
            fresh=self._is_fresh,
            is_held=self.held.is_held,
            is_denied=self.held.is_denied,
            found=self.found.append,
        )
        operations = OperationFlow(self.client, self.subset, clock=self._clock)
        operations.observe = lambda kind, phase: self.ended_operations.append((kind, phase))
        self._tasks.append(asyncio.create_task(self.flow.run()))
        self._tasks.append(asyncio.create_task(operations.run()))
        self._tasks.append(asyncio.create_task(self._writer.run()))

    def _changed(self, change: Change[Any]) -> None:
        self.subset.apply(change)
        view = change.new or change.old
        if isinstance(view, Guest):
            self._events.guest_changed(change)
        elif isinstance(view, GuestOperation):
            self._events.operation_changed(change)

    def _is_fresh(self) -> bool:
        return all(each.synced.is_set() for each in self.informers)

    @property
    def is_killed(self) -> bool:
        """Tell whether it was started and ended."""
        return bool(self.informers) and not self._tasks

    def has_seen(self, api: FakeApi) -> bool:
        """Tell whether it holds each object of its kinds as the API server has it, and no other."""
        return all(
            sorted(map(version_of, informer.objects.values()))
            == sorted(int(each["metadata"]["resourceVersion"]) for each in api.objects(informer.resource))
            for informer in self.informers
        )

    async def kill(self) -> None:
        """End it where it stands."""
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        self._tasks.clear()
        await self.client.close()


class GuestScene:
    """API server, hosts and operators; what a test does and asks."""

    def __init__(self, api: FakeApi, *, clock: Clock, status_delay_s: float) -> None:
        self.api = api
        self.clock = clock
        self.hosts: dict[str, ObedientHost] = {}
        self.operators: list[Operator] = []
        self.on_write: Callable[[Call, str], None] = lambda _call, _moment: None
        self._status_delay_s = status_delay_s
        self._started = 0
        api.on_write = self._wrote

    def _wrote(self, call: Call, moment: str) -> None:
        if moment == "after":
            for host in self.hosts.values():
                host.look()
        self.on_write(call, moment)

    async def operator(self, *, signer: Signer = SIGNER, previous: Signer | None = None) -> Operator:
        """Start an operator; each has a user of its own, `operator-1` and so on."""
        self._started += 1
        client = Client(self.api.credentials(f"operator-{self._started}"))
        made = Operator(
            client,
            clock=self.clock,
            status_delay_s=self._status_delay_s,
            signer=signer,
            previous=previous,
        )
        self.operators.append(made)
        await made.start()
        return made

    # What is there

    def furnish(self) -> None:
        """Make what one guest needs: flavor, image, pool, and the host `a`."""
        self.api.create(resources.FLAVORS, objects.flavor())
        self.api.create(resources.IMAGES, objects.image(), namespace=NAMESPACE)
        self.api.create(resources.IP_POOLS, objects.pool())
        self.add_host("a")

    def furnish_user_data(self) -> None:
        """Make the Secret `mine` with user data."""
        secret = {"metadata": {"name": "mine"}, "stringData": {names.USER_DATA_KEY: "#cloud-config"}}
        self.api.create(resources.SECRETS, secret, namespace=NAMESPACE)

    def add_host(self, name: str, **changes: Any) -> ObedientHost:
        """Make a Host that is ready, and its namespace."""
        self.api.create(NAMESPACES, {"metadata": {"name": names.host_namespace(name)}})
        self.api.create(HOSTS, objects.host(name, **changes))
        made = ObedientHost(self.api, name, store_id=changes.get("store_id", "store-1"), signer=SIGNER)
        self.hosts[name] = made
        return made

    def hear_host(self, name: str, *, heard: bool) -> None:
        """Have a host fall silent, or be heard again."""
        host = self.hosts[name]
        host.hears = heard
        condition = objects.ready() if heard else objects.ready("Unknown", "Silent", "not heard")
        self.patch_status(HOSTS, name, {"conditions": [condition]})
        host.look()

    def add_guest(self, name: str = "web", **changes: Any) -> None:
        """Apply a Guest."""
        self.api.create(GUESTS, objects.guest(name, **changes), namespace=NAMESPACE)

    def patch_guest(self, change: Document, *, name: str = "web") -> None:
        """Change a Guest as its user would."""
        self.api.patch(GUESTS, name, change, namespace=NAMESPACE)

    def patch_status(
        self, resource: Resource[Any], name: str, status: Document, *, namespace: str = ""
    ) -> None:
        """Change a status as somebody else would."""
        self.api.patch(resource, name, {"status": status}, namespace=namespace, subresource="status")

    def delete_guest(self, name: str = "web") -> None:
        """Delete a Guest as its user would."""
        self.api.delete(GUESTS, name, namespace=NAMESPACE)

    def strip_guest(self, name: str = "web") -> None:
        """Take a Guest away by force: its finalizer stripped, and deleted."""
        self.api.store.admission.clear()
        self.patch_guest({"metadata": {"finalizers": None}}, name=name)
        self.delete_guest(name)
        assert self.guest(name) is None

    def remember(self, host: str, operator: Operator) -> None:
        """Have an operator know what a host's agent would tell it."""
        guests = {
            guest_id: HeldGuest(
                each.namespace,
                each.name,
                each.rank,
                peek(each.order).desired,
                each.outcome,
                each.order,
                each.accepted_at or None,
            )
            for guest_id, each in self.hosts[host].records.items()
        }
        store_id = self.hosts[host].store_id
        asked_at = self.clock.now().timestamp()
        ends = {guest_id: each.rank for guest_id, each in self.hosts[host].tombstones.items()}
        operator.records.replace(host, HostRecord(Cursor(store_id, 1), asked_at, guests, ends))
        operator.subset.wake(waiting.host_record(host))

    def operate(self, kind: str, name: str = "op", *, guest: str = "web", **spec: Any) -> str:
        """Ask for an operation; return its UID."""
        body = {"metadata": {"name": name}, "spec": {"guestName": guest, "operation": kind, **spec}}
        made = self.api.create(GUEST_OPERATIONS, body, namespace=NAMESPACE)
        return str(made["metadata"]["uid"])

    # What a test asks

    def operation(self, name: str = "op") -> GuestOperation | None:
        """Return a GuestOperation as it is."""
        found = self.api.get(GUEST_OPERATIONS, name, namespace=NAMESPACE)
        return view(found, GuestOperation) if found else None

    async def until_phase(self, phase: str, reason: str | None = None, *, name: str = "op") -> GuestOperation:
        """Wait until a GuestOperation is in a phase, and says this reason."""

        def is_there() -> bool:
            found = self.operation(name)
            assert found is not None
            reasons = [each.reason for each in found.status.conditions if each.type == "Ready"]
            assert found.status.phase == phase, found.status
            assert reason in (None, *reasons), found.status
            return True

        await eventually(is_there)
        found = self.operation(name)
        assert found is not None
        return found

    async def seen(self) -> None:
        """Wait until each operator has seen all that was changed.

        Each kind has its watch: a guest that is made at once may be seen before a change of its pool or host.
        """
        working = [each for each in self.operators if not each.is_killed]
        await eventually(lambda: all(each.has_seen(self.api) for each in working))

    def guest(self, name: str = "web") -> Guest | None:
        """Return a Guest as it is."""
        found = self.api.get(GUESTS, name, namespace=NAMESPACE)
        return view(found, Guest) if found else None

    def condition(self, kind: str, name: str = "web") -> Condition | None:
        """Return a condition of a Guest."""
        found = self.guest(name)
        each = found.status.conditions if found else []
        return next((one for one in each if one.type == kind), None)

    def addresses(self, *, held: bool = True) -> list[IPAddress]:
        """Return the addresses that are held, or those in quarantine."""
        found = [view(each, IPAddress) for each in self.api.objects(IP_ADDRESSES)]
        return [each for each in found if (each.spec.owner is not None) is held]

    def assignments(self) -> list[Assignment]:
        """Return all Assignments."""
        return [view(each, Assignment) for each in self.api.objects(ASSIGNMENTS)]

    async def until_ready(self, name: str = "web", *, reason: str = "Running") -> Guest:
        """Wait until a Guest is Ready as of its newest generation."""

        def is_ready() -> bool:
            found, ready = self.guest(name), self.condition("Ready", name)
            assert found is not None
            assert ready is not None, found.status
            assert (ready.status, ready.reason) == ("True", reason), ready
            assert ready.observed_generation == found.metadata.generation, ready
            return True

        await eventually(is_ready)
        found = self.guest(name)
        assert found is not None
        return found

    async def until_reason(self, reason: str, name: str = "web") -> Condition:
        """Wait until Ready of a Guest has this reason."""

        def has_reason() -> bool:
            ready = self.condition("Ready", name)
            assert ready is not None
            assert ready.reason == reason, ready
            return True

        await eventually(has_reason)
        found = self.condition("Ready", name)
        assert found is not None
        return found

    async def until_gone(self, name: str = "web") -> None:
        """Wait until a Guest and its Assignments are gone."""
        await eventually(lambda: self.guest(name) is None)
        await eventually(lambda: not self.assignments())


@asynccontextmanager
async def guest_scene(
    *, clock: Clock | None = None, status_delay_s: float = 2.0
) -> AsyncIterator[GuestScene]:
    """Give a scene with nothing in it."""
    async with FakeApi(bookmark_s=30) as api:
        scene = GuestScene(api, clock=clock or SystemClock(), status_delay_s=status_delay_s)
        try:
            yield scene
        finally:
            for operator in scene.operators:
                await operator.kill()
