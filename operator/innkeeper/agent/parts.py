"""What an agent is made of: all that it needs from outside, with what holds where nothing was said.

`process.py` makes these from settings, a trial of many agents in one process makes its own. Nothing here does anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from innkeeper.agent.backup.backups import Backups
from innkeeper.agent.build.ports import ImageStore
from innkeeper.agent.drivers.driver import Driver
from innkeeper.agent.host_api.listener import ListenAt
from innkeeper.agent.host_api.own_certificate import NoCertificate, OwnCertificate
from innkeeper.agent.host_report import boot_id
from innkeeper.agent.net.network import HostNet
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.readiness.ask import Asker
from innkeeper.clock import Clock
from innkeeper.kube.client import Client
from innkeeper.telemetry.readiness import Readiness


@dataclass(frozen=True, kw_only=True)
class AgentParts:
    """The parts of one host's agent. Times are in seconds, rates in bytes per second."""

    host: str
    pinned_keys: Mapping[str, bytes]
    client: Client
    driver: Driver
    images: ImageStore
    network: HostNet
    asker: Asker
    paths: StatePaths
    clock: Clock
    registry: CollectorRegistry
    readiness: Readiness
    api: ListenAt | None = None  # None: nobody but the API server hears of this host
    certificate: OwnCertificate | NoCertificate = field(default_factory=NoCertificate)
    stop_grace_s: float = 60.0
    max_builds: int = 4
    pull_bytes_per_s: int = 0  # at which the disk of a guest is made whole; 0 is no limit
    api_grace_s: float = 30.0
    backups: Backups | None = None
    heartbeat_s: float = 10.0
    boot_id: str = field(default_factory=boot_id)
    workers: int = 4
