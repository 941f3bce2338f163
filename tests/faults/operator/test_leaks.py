"""Many guests come and go in random order under three operators that are killed again and again: nothing leaks.

The operators are processes of their own, all working at once, ended by SIGKILL. API server and etcd are real, and so are
the agents but for their machines.
"""

import asyncio
import base64
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from kit import paths
from kit.simulated_hosts import SimulatedHost, run_all

from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.clock import SystemClock
from innkeeper.domain import names
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import (
    ASSIGNMENTS,
    CLUSTERS,
    FLAVORS,
    GUESTS,
    HOST_AGENTS,
    HOSTS,
    IP_ADDRESSES,
    IP_POOLS,
)
from tests.integration.operator import scene
from tests.kit.operator_process import StubImageServer
from tests.kit.own_plane import OwnPlane, own_plane
from tests.kit.scripted_agent import ScriptedAgent
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900)]

GUESTS_IN_ALL = 1000
AT_ONCE = 40  # guests that are wanted at one time, about
OPERATORS = 3
KILL_EVERY = 60  # guests made
NAME = "leaks"
HOST_NAMES = ("leaks-a", "leaks-b")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPlane]:
    """A control plane of this test's own."""
    with own_plane(NAME, tmp_path_factory.mktemp(NAME)) as made:
        yield made


@pytest.fixture
async def admin(plane: OwnPlane) -> AsyncIterator[Client]:
    """A client with every right."""
    async with Client(Credentials.from_kubeconfig(plane.admin)) as client:
        yield client


class Operators:
    """Three processes, one of which is killed now and then and started again."""

    def __init__(self, kubeconfig: Path, images_url: str, directory: Path, chance: random.Random) -> None:
        self._command = [str(paths.venv_program("innkeeper")), "operator", "--kubeconfig", str(kubeconfig)]
        self._command += ["--images-url", images_url, "--metrics-port", "0", "--no-leader-election"]
        self._directory = directory
        self._chance = chance
        self._running: list[subprocess.Popen[bytes]] = []
        self.killed = 0

    def start(self) -> None:
        """Start one more."""
        with (self._directory / f"operator-{len(self._running)}.log").open("ab") as log:
            self._running.append(subprocess.Popen(self._command, stdout=log, stderr=log))

    def kill_one(self) -> None:
        """Kill one and start another; nobody else may have ended by itself."""
        self.assert_all_run()
        one = self._running.pop(self._chance.randrange(len(self._running)))
        one.send_signal(signal.SIGKILL)
        one.wait()
        self.killed += 1
        self.start()

    def assert_all_run(self) -> None:
        """Fail where one ended that was not killed."""
        ended = {one.pid: one.returncode for one in self._running if one.poll() is not None}
        assert not ended, f"operators ended by themselves, with these codes: {ended}; see {self._directory}"

    def end(self) -> None:
        """Kill them all."""
        for one in self._running:
            one.kill()
            one.wait()


async def test_a_thousand_guests_leave_nothing(plane: OwnPlane, admin: Client, tmp_path: Path) -> None:
    chance = random.Random(20260101)  # noqa: S311 - a seed, so that a failure can be had again
    async with AsyncExitStack() as stack:
        images = await stack.enter_async_context(StubImageServer())
        operators = Operators(plane.operator, images.url, tmp_path, chance)
        stack.callback(operators.end)
        for _ in range(OPERATORS):
            operators.start()
        await furnish(admin)
        drivers = await hosts(admin, tmp_path, stack)
        survivors = await come_and_go(admin, operators, chance)
        assert operators.killed >= GUESTS_IN_ALL // KILL_EVERY - 1
        await eventually(lambda: all_is_well(admin, survivors, drivers), deadline_s=240)

        for name in survivors:
            await admin.delete(GUESTS, name, namespace="default")
        await eventually(lambda: all_is_well(admin, set(), drivers), deadline_s=240)
        operators.assert_all_run()


async def furnish(admin: Client) -> None:
    """Make cluster, pool, flavor, image and hosts."""
    meta = {"metadata": {"name": NAME}}
    await admin.create(CLUSTERS, {**meta, "spec": {"network": {"bridge": "br0"}}})
    pool = {"cidr": "192.0.2.0/25", "addressSpace": NAME, "clusters": [NAME], "quarantine": "1s"}
    await admin.create(IP_POOLS, {**meta, "spec": pool})
    await admin.create(FLAVORS, {**meta, "spec": {"cpu": "1", "memory": "1Gi", "disk": "2Gi"}})
    await scene.image(admin, NAME)
    for name in HOST_NAMES:
        await admin.create(HOSTS, {"metadata": {"name": name}, "spec": {"cluster": NAME}})


async def hosts(admin: Client, directory: Path, stack: AsyncExitStack) -> list[SimulatedDriver]:
    """Run the agents of both hosts; return their machines."""
    clock, made, drivers = SystemClock(), [], []
    for name in HOST_NAMES:
        identity = await stack.enter_async_context(ScriptedAgent(admin, name))
        await identity.renew_token()
        assert identity.client is not None
        keys = await eventually(lambda name=name: order_keys(admin, name), deadline_s=60)
        driver = SimulatedDriver(clock)
        state = directory / name
        state.mkdir()
        drivers.append(driver)
        made.append(
            SimulatedHost(name=name, directory=state, client=identity.client, pinned_keys=keys, driver=driver)
        )
    agents = asyncio.create_task(run_all(made))

    async def end() -> None:
        agents.cancel()
        await asyncio.gather(agents, return_exceptions=True)

    stack.push_async_callback(end)
    for name in HOST_NAMES:
        await scene.ready(admin, HOSTS, name, reason="Ready", deadline_s=60)
    return drivers


async def order_keys(admin: Client, host: str) -> dict[str, bytes] | None:
    """Return the keys that a host pins, once the operators told it of them."""
    try:
        found = await admin.get(HOST_AGENTS, "host", namespace=names.host_namespace(host))
    except NotFoundError:
        return None
    return {each.id: base64.b64decode(each.public_key) for each in found.spec.order_keys}


async def come_and_go(admin: Client, operators: Operators, chance: random.Random) -> set[str]:
    """Make all the guests and delete most of them, in random order; return who is left."""
    there: list[str] = []
    for number in range(GUESTS_IN_ALL):
        name = f"g{number}"
        await scene.guest(admin, name, of=NAME)
        there.append(name)
        while len(there) > AT_ONCE or (there and chance.random() < 0.3):
            # Some are deleted before anybody looked at them, some while they are built, some long after.
            await admin.delete(GUESTS, there.pop(chance.randrange(len(there))), namespace="default")
        if number % KILL_EVERY == KILL_EVERY - 1:
            operators.kill_one()
    return set(there)


async def all_is_well(admin: Client, wanted: set[str], drivers: list[SimulatedDriver]) -> bool:
    """Compare everything that there is with the guests that are wanted."""
    guests = {each.metadata.name: each for each in (await admin.list(GUESTS)).items}
    assert guests.keys() == wanted
    ids = {each.metadata.uid for each in guests.values()}
    bound = [address.address for each in guests.values() for address in each.status.addresses]
    assert len(bound) == len(set(bound)) == len(wanted)
    claims = (await admin.list(IP_ADDRESSES)).items
    assert sorted(each.spec.address for each in claims) == sorted(bound)
    assert all(each.spec.owner is not None and each.spec.owner.id in ids for each in claims)
    assignments = (await admin.list(ASSIGNMENTS)).items
    assert {each.metadata.name for each in assignments} == ids
    running = [guest_id for driver in drivers for guest_id in driver.running()]
    assert sorted(running) == sorted(ids)
    assert all(each.status.host in HOST_NAMES for each in guests.values())
    pool = await admin.get(IP_POOLS, NAME)
    assert (pool.status.used, pool.status.quarantined) == (len(wanted), 0)
    return True
