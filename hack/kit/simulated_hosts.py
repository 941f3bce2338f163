"""Agents of many hosts in one process, on simulated machines: for benches and tests, where no guest really runs.

Each is the agent that `innkeeper agent` runs, with its own database and identity; only the driver and the images are
made up.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from innkeeper.agent import service
from innkeeper.agent.backup.backups import Backups
from innkeeper.agent.build.ports import ImageStore
from innkeeper.agent.build.simulated_images import SimulatedImages
from innkeeper.agent.drivers.driver import Driver
from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.agent.host_api.listener import ListenAt
from innkeeper.agent.host_report import boot_id
from innkeeper.agent.net.network import HostNet
from innkeeper.agent.net.simulated import SimulatedNetwork
from innkeeper.agent.parts import AgentParts
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.readiness.ask import Asker, HostAsker
from innkeeper.clock import Clock, SystemClock
from innkeeper.kube.client import Client
from innkeeper.telemetry.readiness import Readiness


@dataclass(kw_only=True)
class SimulatedHost:
    """One host. Its driver outlives its agent, as a hypervisor does."""

    name: str
    directory: Path
    client: Client
    pinned_keys: Mapping[str, bytes]
    clock: Clock = field(default_factory=SystemClock)
    driver: Driver | None = None
    images: ImageStore | None = None
    network: HostNet | None = None
    asker: Asker | None = None
    api: ListenAt | None = None
    heartbeat_s: float = 10.0
    boot_id: str = field(default_factory=boot_id)
    pull_bytes_per_s: int = 0
    api_grace_s: float = 30.0
    max_builds: int = 4
    backups: Backups | None = None
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    readiness: Readiness = field(default_factory=Readiness)

    def __post_init__(self) -> None:
        """Make what was not given."""
        self.driver = self.driver or SimulatedDriver(self.clock)
        self.network = self.network or SimulatedNetwork()
        self.asker = self.asker or HostAsker(self.driver, self.clock)
        self.images = self.images or SimulatedImages(self.directory / "images")

    async def run(self) -> None:
        """Run the host's agent until it is cancelled."""
        assert self.driver is not None  # noqa: S101 - made above
        assert self.images is not None  # noqa: S101 - made above
        assert self.network is not None  # noqa: S101 - made above
        assert self.asker is not None  # noqa: S101 - made above
        parts = AgentParts(
            host=self.name,
            pinned_keys=self.pinned_keys,
            client=self.client,
            driver=self.driver,
            images=self.images,
            network=self.network,
            asker=self.asker,
            paths=StatePaths(self.directory),
            clock=self.clock,
            registry=self.registry,
            readiness=self.readiness,
            api=self.api,
            heartbeat_s=self.heartbeat_s,
            boot_id=self.boot_id,
            pull_bytes_per_s=self.pull_bytes_per_s,
            api_grace_s=self.api_grace_s,
            max_builds=self.max_builds,
            backups=self.backups,
        )
        await service.run(parts)


async def run_all(hosts: list[SimulatedHost]) -> None:
    """Run the agents of all hosts until they are cancelled; the first that breaks ends them all."""
    async with asyncio.TaskGroup() as tasks:
        for host in hosts:
            tasks.create_task(host.run(), name=host.name)
