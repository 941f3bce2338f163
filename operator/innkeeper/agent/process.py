"""The process `innkeeper agent`: settings become parts, and the agent runs until a signal.

Heavy or optional dependencies are imported for the driver that is asked for only.
"""

import asyncio
import os
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry

from innkeeper.agent import join_file, service
from innkeeper.agent.backup.backups import Backups
from innkeeper.agent.backup.directory import BackupDirectory
from innkeeper.agent.backup.places import Places
from innkeeper.agent.backup.targets import BackupTarget
from innkeeper.agent.build.ports import ImageStore
from innkeeper.agent.build.simulated_images import SimulatedImages
from innkeeper.agent.drivers.driver import Driver
from innkeeper.agent.drivers.simulated import SimulatedDriver
from innkeeper.agent.figures import BackupFigures, ImageFigures
from innkeeper.agent.host_api.own_certificate import NoCertificate, OwnCertificate
from innkeeper.agent.identity import credentials_of
from innkeeper.agent.joining import node
from innkeeper.agent.joining.rotation import TokenFigures, TokenRotation
from innkeeper.agent.joining.sources import OwnRight, PodToken
from innkeeper.agent.net.network import HostNet
from innkeeper.agent.net.simulated import SimulatedNetwork
from innkeeper.agent.parts import AgentParts
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.readiness.ask import HostAsker
from innkeeper.agent.settings import AgentSettings, DriverName
from innkeeper.agent.unprivileged import tools_user
from innkeeper.clock import Clock, SystemClock
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.telemetry import logs
from innkeeper.telemetry.certificates import CertificateMetrics
from innkeeper.telemetry.definition import Process
from innkeeper.telemetry.metrics import ProcessMetrics
from innkeeper.telemetry.readiness import Readiness
from innkeeper.telemetry.server import TelemetryServer


async def run_agent(settings: AgentSettings) -> None:
    """Run the agent until it is cancelled."""
    logs.configure(form=settings.log_format, level=settings.log_level, process="agent")
    clock = SystemClock()
    registry, readiness = CollectorRegistry(), Readiness()
    pod = node.pod_credentials(settings) if settings.node_name is not None else None
    if pod is not None:
        settings = node.write_identity(settings, pod)
    host, keys, credentials = identity_of(settings)
    metrics = ProcessMetrics(registry, process=Process.AGENT)
    _tell_of_certificates(settings, registry)
    paths = StatePaths(settings.state_dir)
    driver, images, network = _runs_on(settings, paths, credentials, clock, registry)
    server = TelemetryServer(
        listen=settings.listen, port=settings.metrics_port, registry=registry, readiness=readiness
    )
    async with server, Client(credentials) as client, Client(pod or credentials) as asker:
        client.observed_by(metrics.wrote)
        parts = AgentParts(
            host=host,
            pinned_keys=keys,
            client=client,
            driver=driver,
            images=images,
            network=network,
            asker=HostAsker(driver, clock),
            paths=paths,
            clock=clock,
            registry=registry,
            readiness=readiness,
            api=settings.api,
            certificate=_certificate(settings, host, clock),
            stop_grace_s=settings.stop_grace_s,
            max_builds=settings.max_builds,
            pull_bytes_per_s=int(settings.image_fill_mib_s * 1024**2),
            api_grace_s=settings.api_grace_s,
            backups=_backups(settings, host, paths, clock, registry),
        )
        rotation = _rotation(settings, asker, clock, TokenFigures(registry))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(service.run(parts), name="agent")
                if rotation is not None:
                    tasks.create_task(rotation.run(), name="token")
        finally:
            await driver.close()


def identity_of(settings: AgentSettings) -> tuple[str, dict[str, bytes], Credentials]:
    """Return the host's name, the order keys that it pins, and who it is to the API server.

    Raises:
        TerminalError: the join file, a key file or the kubeconfig cannot be used.
    """
    credentials = credentials_of(join_file=settings.join_file, kubeconfig=settings.kubeconfig)
    if settings.join_file is not None:
        join = join_file.read_join_file(settings.join_file)
        return join.host, join.pinned_keys, credentials
    keys = dict(join_file.read_key_file(path) for path in settings.order_key_file)
    return str(settings.host), keys, credentials


def _certificate(settings: AgentSettings, host: str, clock: Clock) -> OwnCertificate | NoCertificate:
    if settings.api is None or not settings.asks_for_certificate:
        return NoCertificate()
    return OwnCertificate(host, settings.api.files, clock=clock)


def _rotation(
    settings: AgentSettings, client: Client, clock: Clock, figures: TokenFigures
) -> TokenRotation | None:
    """Return what renews the host's token; None where a kubeconfig says who we are."""
    if settings.join_file is None:
        return None
    join = join_file.read_join_file(settings.join_file)
    path = settings.join_file.parent / join.token_file
    if settings.node_name is None:
        return TokenRotation(path, OwnRight(client, host=join.host), clock=clock, figures=figures)
    source = PodToken(client, node=join.host)
    return TokenRotation(path, source, clock=clock, figures=figures, is_ours=lambda _: True, at_once=True)


def _tell_of_certificates(settings: AgentSettings, registry: CollectorRegistry) -> None:
    metrics = CertificateMetrics(registry)
    if settings.api is not None:
        metrics.follows("host-api", settings.api.files.certificate)
        metrics.follows("host-api-ca", settings.api.files.authority)
    metrics.follows("images-ca", settings.images_ca_file)


def _backups(
    settings: AgentSettings, host: str, paths: StatePaths, clock: Clock, registry: CollectorRegistry
) -> Backups | None:
    # Opened for each backup: what is wrong with the place must not keep the agent from its guests.
    opening: Callable[[], BackupTarget]
    if settings.backup_directory is not None:
        opening = partial(BackupDirectory, settings.backup_directory, host, settings.backup_keep)
    elif settings.backup_url is not None:
        places = Places(host=host, scratch=paths.root, environment=os.environ, clock=clock)
        opening = partial(places.bucket, settings.backup_url, keep=settings.backup_keep)
    else:
        return None
    return Backups(
        open_target=opening,
        paths=paths,
        clock=clock,
        figures=BackupFigures(registry),
        every_s=settings.backup_every_s,
    )


def _runs_on(
    settings: AgentSettings,
    paths: StatePaths,
    credentials: Credentials,
    clock: Clock,
    registry: CollectorRegistry,
) -> tuple[Driver, ImageStore, HostNet]:
    if settings.driver is DriverName.SIMULATED:
        driver = SimulatedDriver(clock, latency_s=settings.simulated_latency_s)
        return driver, SimulatedImages(paths.images), SimulatedNetwork()
    return (
        _libvirt(settings.libvirt_uri, paths),
        _image_store(settings, paths, credentials, clock, ImageFigures(registry)),
        _host_network(paths, clock, registry),
    )


def _libvirt(uri: str, paths: StatePaths) -> Driver:
    from innkeeper.agent.drivers.libvirt.driver import LibvirtDriver

    return LibvirtDriver(uri, disk_directory=paths.root)


def _host_network(paths: StatePaths, clock: Clock, registry: CollectorRegistry) -> HostNet:
    from innkeeper.agent.net.host_network import HostNetwork

    return HostNetwork(paths.network, clock=clock, registry=registry)


def _image_store(
    settings: AgentSettings,
    paths: StatePaths,
    credentials: Credentials,
    clock: Clock,
    figures: ImageFigures,
) -> ImageStore:
    from innkeeper.agent.imaging.overlay import DiskTool
    from innkeeper.agent.imaging.store import HostImageStore
    from innkeeper.agent.streaming.socket_access import qemu_access
    from innkeeper.agent.streaming.streamer import StreamCommand, Streamer

    if settings.qemu_group is not None:
        qemu_access(settings.qemu_group)  # told now, and not when the first guest comes
    command = StreamCommand(
        directory=paths.images,
        join_file=settings.join_file,
        kubeconfig=settings.kubeconfig,
        images_ca_file=settings.images_ca_file,
        fill_mib_s=settings.image_fill_mib_s,
        qemu_group=settings.qemu_group,
        log_format=settings.log_format,
        log_level=settings.log_level,
    )
    return HostImageStore(
        paths.images,
        token=credentials.bearer,
        ca_file=settings.images_ca_file,
        clock=clock,
        disks=DiskTool(tools_user(settings.tools_user)),
        streamer=Streamer(command, clock=clock, process=settings.streams),
        figures=figures,
    )
