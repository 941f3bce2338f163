"""A host for scenario tests of the agent: a simulated machine, images in memory, and an API server to talk to.

Its agent can be killed at any point of a build and started again; machine and disk outlive it, as real ones do. Objects
are written as the operator writes them, through the API.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from innkeeper.agent.backup.backups import Backups
from innkeeper.agent.build.ports import Backing, Progress, Seed, Streamed
from innkeeper.agent.drivers.driver import DomainSpec, DomainState
from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.agent.host_api.listener import ListenAt
from innkeeper.agent.net.simulated import SimulatedNetwork
from innkeeper.agent.store.store import Store
from innkeeper.clock import Clock, SystemClock
from innkeeper.domain import names
from innkeeper.domain.orders import Order, OrderImage, Signer
from innkeeper.domain.reasons import OperationPhase
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import ASSIGNMENTS, HOST_AGENTS, NAMESPACES
from innkeeper.telemetry.readiness import Readiness
from innkeeper.views.assignment import Assignment, OperationReport
from innkeeper.views.guest import ReadinessProbe
from innkeeper.views.host import HostAgent
from innkeeper.views.meta import Condition
from kit.simulated_hosts import SimulatedHost
from tests.kit.agent_orders import HOST, KEYS, SIGNER, STORE
from tests.kit.fake_api import FakeApi
from tests.kit.waiting import eventually

PULL_BYTES_PER_S = 7 * 1024**2

# Of a wait for an API server that does not come, where the test is about what happens after it.
SHORT_GRACE_S = 0.5


class Gates:
    """Points that work can be held at or made to fail at."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.failures: dict[str, list[Exception]] = defaultdict(list)
        self.reached: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.passed: Counter[str] = Counter()
        self._open = asyncio.Event()

    async def at(self, point: str) -> None:
        """Come to a point."""
        if self.failures[point]:
            raise self.failures[point].pop(0)
        if point in self.held:
            self.reached[point].set()
            await self._open.wait()
        self.passed[point] += 1

    def open(self) -> None:
        """Hold nothing any more."""
        self.held.clear()
        self._open.set()


class GatedImages:
    """Images in memory; disks and seeds are small files, so that a restart finds them."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates
        self.users: set[str] = set()
        self.aside: set[str] = set()  # guests whose images stay for files that were set aside
        self.seeds: dict[str, Seed] = {}
        self.streams: dict[str, Streamed] = {}  # what is served, by name
        self.on_stream: set[str] = set()  # guests whose disks lie over one
        self.bad_image: InnkeeperError | None = None  # what a guest that wants to go on is told
        self.standing = ""
        self.images_held: dict[str, int] = {}
        self.news = asyncio.Event()

    async def fetch(
        self,
        image: OrderImage,
        guest_id: str,
        progress: Progress,
        *,
        storage: str,  # noqa: ARG002 - as declared
    ) -> Backing:
        """Take the image for a guest."""
        progress(image.size // 2, image.size)
        await self._gates.at("fetch")
        self.users.add(guest_id)
        return Backing(f"/images/{image.digest}")

    async def before_start(self, image: OrderImage, guest_id: str, disk: Path) -> None:
        """Have nothing to do."""

    async def before_resume(self, image: OrderImage, guest_id: str, disk: Path) -> None:  # noqa: ARG002 - as declared
        """Refuse where a test says so."""
        if self.bad_image is not None:
            raise self.bad_image

    def stands(self, image: OrderImage, guest_id: str) -> str:  # noqa: ARG002 - as declared
        """Say what a test says."""
        return self.standing

    def streaming(self) -> dict[str, Streamed]:
        """Return what a test serves."""
        return self.streams

    def held(self) -> dict[str, int]:
        """Return what a test says."""
        return self.images_held

    async def is_on_stream(self, disk: Path) -> bool:
        """Tell by the guest's directory."""
        return disk.parent.name in self.on_stream

    async def leave(self, name: str, guest_id: str) -> None:
        """Take a guest off a stream."""
        old = self.streams.pop(name)
        rest = tuple(each for each in old.guests if each != guest_id)
        if rest:
            self.streams[name] = replace(old, guests=rest)

    async def follow(self, on_news: Callable[[], None]) -> None:
        """Have news whenever a test does."""
        while True:
            await self.news.wait()
            self.news.clear()
            on_news()

    async def has_disk(self, disk: Path) -> bool:
        """Look for it."""
        return await asyncio.to_thread(disk.exists)

    async def prepare_overlay(
        self,
        base: Backing,  # noqa: ARG002 - as declared
        overlay: Path,
        *,
        image: OrderImage,  # noqa: ARG002 - as declared
        size_bytes: int,  # noqa: ARG002 - as declared
    ) -> None:
        """Make a disk where there is none."""
        await self._gates.at("overlay")
        _write_once(overlay, "a new disk")

    async def write_seed(self, seed: Seed, target: Path) -> None:
        """Write a seed."""
        await self._gates.at("seed")
        self.seeds[seed.guest_id] = seed
        _write_once(target, "seed")

    async def user_data_in(self, seed: Path) -> bytes | None:
        """Return what was written for the guest of the directory."""
        is_there = await asyncio.to_thread(seed.exists)
        return self.seeds[seed.parent.name].user_data if is_there else None

    async def set_aside(self, guest_id: str) -> None:
        """Keep the image for files that were set aside."""
        self.aside.add(guest_id)

    async def release(self, guest_id: str) -> None:
        """Let go of the guest's image."""
        self.users.discard(guest_id)


class ScriptedAsker:
    """Guests answer their readiness probes as the test says; each answer is counted."""

    def __init__(self) -> None:
        self.silent: dict[str, str] = {}  # why, by Guest ID
        self.asked: Counter[str] = Counter()

    async def ask(self, order: Order, probe: ReadinessProbe) -> str | None:  # noqa: ARG002 - as declared
        """Answer as the script says."""
        self.asked[order.guest_id] += 1
        return self.silent.get(order.guest_id)


class GatedDriver(SimulatedDriver):
    """A simulated hypervisor that can be held before and after what it does."""

    gates: Gates
    asked: list[str]  # which guests' machines were to be started, in this order

    async def domains(self) -> dict[str, DomainState]:
        """Read the machines."""
        await self.gates.at("domains")
        return await super().domains()

    async def define(self, spec: DomainSpec) -> None:
        """Define a machine."""
        await self.gates.at("before-define")
        await super().define(spec)
        await self.gates.at("after-define")

    async def start(self, guest_id: str) -> None:
        """Start a machine."""
        self.asked.append(guest_id)
        await self.gates.at("before-start")
        await super().start(guest_id)
        await self.gates.at("after-start")

    async def stop(self, guest_id: str, *, grace_s: float) -> None:
        """Stop a machine."""
        await self.gates.at("before-stop")
        await super().stop(guest_id, grace_s=grace_s)
        await self.gates.at("after-stop")

    async def pause(self, guest_id: str) -> None:
        """Pause a machine."""
        await self.gates.at("before-pause")
        await super().pause(guest_id)
        await self.gates.at("after-pause")

    async def resume(self, guest_id: str) -> None:
        """Let a machine go on."""
        await self.gates.at("before-resume")
        await super().resume(guest_id)
        await self.gates.at("after-resume")

    async def pull(self, guest_id: str, *, bytes_per_s: int) -> None:
        """Make a disk whole."""
        await self.gates.at("before-pull")
        await super().pull(guest_id, bytes_per_s=bytes_per_s)

    async def remove(self, guest_id: str) -> None:
        """Remove a machine."""
        await self.gates.at("before-remove")
        await super().remove(guest_id)
        await self.gates.at("after-remove")


class AgentHost:
    """One host with its agent."""

    def __init__(self, api: FakeApi, *, admin: Client, agent: Client, directory: Path) -> None:
        self.api = api
        self.admin = admin
        self.agent = agent
        self.directory = directory
        self.clock: Clock = SystemClock()
        self.gates = Gates()
        self.driver = GatedDriver(self.clock)
        self.driver.gates = self.gates
        self.driver.asked = []
        self.images = GatedImages(self.gates)
        self.network = SimulatedNetwork()
        self.asker = ScriptedAsker()
        self.namespace = names.host_namespace(HOST)
        self.signer: Signer = SIGNER
        self.pinned = KEYS
        self.registry = CollectorRegistry()
        self.api_place: ListenAt | None = None
        self.heartbeat_s = 0.5
        self.told_within_s = 15.0  # half of what the agent lets pass at most where something fails
        self._boots = 1
        self.boot_id = "boot-1"
        self.api_grace_s = 30.0
        self.max_builds = 4
        self.backups: Backups | None = None
        self._task: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Make the host's namespace and its HostAgent, and give the store an ID that orders can name."""
        await self.make_namespace()
        store = await Store.open(self.directory / "agent.db", host=HOST, new_id=STORE)
        await store.close()

    async def make_namespace(self, *, allow_emulation: bool = False, bridge: str = "br0") -> None:
        """Make what the operator makes for a host."""
        await self.admin.create(NAMESPACES, {"metadata": {"name": self.namespace}})
        spec = {
            "cluster": "c",
            "network": {"bridge": bridge},
            "allowEmulation": allow_emulation,
            "orderKeys": [],
        }
        await self.admin.create(
            HOST_AGENTS, {"metadata": {"name": "host"}, "spec": spec}, namespace=self.namespace
        )

    def start(self) -> None:
        """Start the agent."""
        self.registry = CollectorRegistry()
        host = SimulatedHost(
            name=HOST,
            directory=self.directory,
            client=self.agent,
            pinned_keys=self.pinned,
            clock=self.clock,
            driver=self.driver,
            images=self.images,
            network=self.network,
            asker=self.asker,
            registry=self.registry,
            readiness=Readiness(),
            api=self.api_place,
            heartbeat_s=self.heartbeat_s,
            boot_id=self.boot_id,
            api_grace_s=self.api_grace_s,
            max_builds=self.max_builds,
            backups=self.backups,
            pull_bytes_per_s=PULL_BYTES_PER_S,
        )
        self._task = asyncio.create_task(host.run())

    def reboot(self) -> None:
        """Have the machine lose its power and come back; the agent was killed before."""
        self.driver.reboot()
        self._boots += 1
        self.boot_id = f"boot-{self._boots}"

    async def ended(self) -> None:
        """Wait until the agent ends by itself; it raises what ended it."""
        if self._task is not None:
            task, self._task = self._task, None
            await task

    async def kill(self) -> None:
        """End the agent where it stands; what it was at is not finished."""
        if self._task is not None:
            while not self._task.done():
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=0.05)
            task, self._task = self._task, None
            if not task.cancelled() and task.exception() is not None:
                raise task.exception() or RuntimeError

    async def assign(self, order: Order, *, text: str | None = None, name: str | None = None) -> None:
        """Write an order into its Assignment, new or changed."""
        name = name or order.guest_id
        spec = {
            "order": text or self.signer.sign(order),
            "guest": {"namespace": order.namespace, "name": order.name},
            "guestId": name,
            "desired": order.desired,
            "epoch": order.epoch,
            "serial": order.serial,
        }
        try:
            await self.admin.patch(ASSIGNMENTS, name, {"spec": spec}, namespace=self.namespace)
        except NotFoundError:
            body = {"metadata": {"name": name}, "spec": spec}
            await self.admin.create(ASSIGNMENTS, body, namespace=self.namespace)

    async def assignment(self, guest_id: str) -> Assignment:
        """Read an Assignment."""
        return await self.admin.get(ASSIGNMENTS, guest_id, namespace=self.namespace)

    async def host_agent(self) -> HostAgent:
        """Read the HostAgent."""
        return await self.admin.get(HOST_AGENTS, "host", namespace=self.namespace)

    async def told(self, guest_id: str, reason: str, *, outcome: str = "Accepted") -> Condition:
        """Wait until the agent tells this reason of Ready with this outcome, of the order that is there now."""
        found: Condition | None = None

        async def check() -> bool:
            nonlocal found
            assignment = await self.assignment(guest_id)
            status = assignment.status
            found = next((each for each in status.conditions if each.type == "Ready"), None)
            if status.observed_generation != assignment.metadata.generation or found is None:
                return False
            return (status.outcome, found.reason) == (outcome, reason)

        try:
            await eventually(check, deadline_s=self.told_within_s)
        except AssertionError as error:
            status = (await self.assignment(guest_id)).status
            raise AssertionError(f"waited for {outcome} {reason}; the status is {status}") from error
        assert found is not None
        return found

    async def ended_operation(self, guest_id: str, uid: str) -> OperationReport:
        """Wait until the agent tells the end of an operation."""
        found: OperationReport | None = None

        async def check() -> bool:
            nonlocal found
            found = (await self.assignment(guest_id)).status.operation
            return found is not None and found.id == uid and OperationPhase(found.phase).is_final

        try:
            await eventually(check, deadline_s=self.told_within_s)
        except AssertionError as error:
            raise AssertionError(f"waited for the end of {uid}; told was {found}") from error
        assert found is not None
        return found

    def disk(self, guest_id: str) -> Path:
        """Where a guest's disk lies."""
        return self.directory / "guests" / guest_id / "disk.qcow2"

    def figure(self, name: str, **labels: str) -> float:
        """Return one of the agent's metrics."""
        return self.registry.get_sample_value(name, labels) or 0.0


def failure(reason: str, message: str = "it does not work", **more: Any) -> InnkeeperError:
    """Return an error as drivers and image stores raise them."""
    return InnkeeperError(message, reason=reason, **more)


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text)


@asynccontextmanager
async def agent_host(directory: Path) -> AsyncIterator[AgentHost]:
    """Give a host in front of an API server; its agent is not started yet."""
    async with FakeApi() as api:
        user = f"system:serviceaccount:{names.host_namespace(HOST)}:{names.AGENT_SERVICE_ACCOUNT}"
        async with Client(api.credentials()) as admin, Client(api.credentials(user)) as agent:
            host = AgentHost(api, admin=admin, agent=agent, directory=directory)
            await host.prepare()
            try:
                yield host
            finally:
                host.gates.open()
                await host.kill()
