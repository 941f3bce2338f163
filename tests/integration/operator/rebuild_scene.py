"""Hosts with real agents on simulated machines, and a control plane that may lose what it holds.

Agents outlive the control plane: they go on in this process, with the tokens that they have.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from kit import host_api as trial
from kit.certificates import Authority
from kit.simulated_hosts import SimulatedHost

from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.agent.trust import decode_keys
from innkeeper.clock import SystemClock
from innkeeper.domain.names import AGENT_SERVICE_ACCOUNT, host_namespace
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import ApiError
from innkeeper.kube.resources import GUESTS, HOST_AGENTS, HOSTS, IP_POOLS
from innkeeper.processes.operator import OperatorProcess
from innkeeper.state.subset import guest_id_of
from innkeeper.views.guest import Guest
from tests.integration.operator import scene
from tests.kit.host_api import HostFiles
from tests.kit.install import install, kubeconfig_of
from tests.kit.operator_process import StubImageServer, running_operator
from tests.kit.own_plane import OwnPlane
from tests.kit.plane_store import PlaneStore
from tests.kit.waiting import eventually

NAME = "lab"  # of Cluster, IPPool, Flavor and Image


class Place:
    """What a test acts on."""

    def __init__(self, plane: OwnPlane, images: StubImageServer, directory: Path) -> None:
        self.directory = directory
        self.plane = plane
        self.images = images
        self.store = PlaneStore(
            plane.name, Credentials.from_kubeconfig(plane.admin), self.operator_credentials
        )
        self.drivers: dict[str, SimulatedDriver] = {}
        self.agents: dict[str, Client] = {}
        self.authority: Authority = trial.authority(directory)
        self.hosts_file = directory / "hosts.json"
        self.hosts_file.write_text('{"hosts": []}')
        self.order_key = directory / "order.key"
        self.order_key.write_bytes(b"\x07" * 32)
        self._hosts: list[SimulatedHost] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def operator_credentials(self) -> Credentials:
        """The operator's way in."""
        return Credentials.from_kubeconfig(self.plane.operator)

    def settings(self) -> dict[str, Any]:
        """Return what operator and rebuild are told."""
        pair = trial.operator_pair(self.authority)
        return {
            "hosts_file": self.hosts_file,
            "hosts_ca_file": self.authority.own.certificate,
            "hosts_certificate_file": pair.certificate,
            "hosts_key_file": pair.key,
            "order_key_file": self.order_key,
        }

    @asynccontextmanager
    async def operator(self, **settings: Any) -> AsyncIterator[OperatorProcess]:
        """Run an operator; it may have to wait before it leads."""
        async with running_operator(
            self.operator_credentials, images_url=self.images.url, **{**self.settings(), **settings}
        ) as process:
            yield process

    async def add_host(self, admin: Client, name: str) -> None:
        """Have an agent join for a Host that is there, and list it in the hosts file."""
        directory = self.directory / name
        directory.mkdir()
        files = HostFiles(directory / "api")
        files.fill(self.authority, host=name)
        driver = self.drivers[name] = SimulatedDriver(SystemClock())
        client = self.agents[name] = Client(await self._agent_credentials(admin, name))
        agent = await eventually(lambda: _host_agent(admin, name), deadline_s=30)
        keys = decode_keys({each.id: each.public_key for each in agent.spec.order_keys})
        host = SimulatedHost(
            name=name,
            directory=directory,
            client=client,
            pinned_keys=keys,
            driver=driver,
            api=files.place(),
            heartbeat_s=2.0,
        )
        self._hosts.append(host)
        self._tasks.append(asyncio.create_task(host.run()))
        address = await eventually(lambda: _address(admin, name), deadline_s=30)
        listed = json.loads(self.hosts_file.read_text())["hosts"]
        self.hosts_file.write_text(json.dumps({"hosts": [*listed, {"name": name, "address": address}]}))

    async def renew_tokens(self, admin: Client) -> None:
        """Give every agent a token of the API server as it is now, as a lab or a chart does."""
        for name, client in self.agents.items():
            client.credentials = await self._agent_credentials(admin, name)

    async def _agent_credentials(self, admin: Client, name: str) -> Credentials:
        path = f"/api/v1/namespaces/{host_namespace(name)}/serviceaccounts/{AGENT_SERVICE_ACCOUNT}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}

        async def ask() -> dict[str, Any] | None:
            try:
                return await admin.post(path, {**body, "spec": {"expirationSeconds": 3600}})
            except ApiError:
                return None

        answer = await eventually(ask, deadline_s=30)
        own = admin.credentials
        return Credentials(server=own.server, ca_data=own.ca_data, token=answer["status"]["token"])

    def wipe(self) -> None:
        """Lose the control plane's store, and install Innkeeper anew."""
        self.store.wipe()
        install(self.plane.admin)
        kubeconfig_of(
            self.plane.admin,
            namespace="innkeeper-system",
            service_account="innkeeper-operator",
            to=self.plane.operator,
        )

    async def rebuild(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a person does; agents in this process go on meanwhile."""
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self.settings().items()]
        command = [str(Path(sys.executable).parent / "innkeeper"), "operator", "rebuild", *options, *words]
        command.append(f"--kubeconfig={self.plane.operator}")
        return await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=90, check=False
        )

    async def close(self) -> None:
        """End all agents."""
        await self._end_agents()
        for client in self.agents.values():
            await client.close()

    async def _end_agents(self) -> None:
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def furnish(admin: Client, *hosts: str) -> None:
    """Make the Cluster with its hosts, and what a guest needs."""
    await scene.what_guests_name(admin, NAME)
    for host in hosts:
        await admin.create(HOSTS, {"metadata": {"name": host}, "spec": {"cluster": NAME}})


async def apply_again(admin: Client) -> None:
    """Do what a pipeline does: apply what no host knows."""
    pool = {"cidr": "192.0.2.0/24", "addressSpace": NAME, "clusters": [NAME], "quarantine": "1s"}
    await admin.create(IP_POOLS, {"metadata": {"name": NAME}, "spec": pool})
    await scene.image(admin, NAME)


async def ready_guests(admin: Client, *names: str) -> dict[str, Guest]:
    """Wait until guests run; return them by name."""
    return {name: await scene.ready(admin, GUESTS, name, reason="Running", deadline_s=90) for name in names}


def told(guests: dict[str, Guest]) -> dict[str, tuple[Any, ...]]:
    """Return what may never change of each guest."""
    return {
        name: (guest_id_of(each), each.status.host, [one.address for one in each.status.addresses])
        for name, each in guests.items()
    }


@asynccontextmanager
async def a_place(plane: OwnPlane, directory: Path) -> AsyncIterator[Place]:
    """Give a place without hosts."""
    async with AsyncExitStack() as stack:
        images = await stack.enter_async_context(StubImageServer())
        place = Place(plane, images, directory)
        stack.push_async_callback(place.close)
        yield place


async def _host_agent(admin: Client, name: str) -> Any:
    try:
        return await admin.get(HOST_AGENTS, "host", namespace=host_namespace(name))
    except ApiError:
        return None


async def _address(admin: Client, name: str) -> str | None:
    agent = await _host_agent(admin, name)
    return agent.status.address if agent is not None else None
