"""`innkeeper images` as a process: start everything, serve until it is cancelled, end in order."""

import asyncio
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from innkeeper.clock import Clock, SystemClock
from innkeeper.images.assembly import build
from innkeeper.images.settings import ImagesSettings
from innkeeper.images.sources.http import client_session
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.served_certificate import ServedCertificate
from innkeeper.telemetry import logs
from innkeeper.telemetry.certificates import CertificateMetrics
from innkeeper.telemetry.definition import Process
from innkeeper.telemetry.metrics import ProcessMetrics
from innkeeper.telemetry.readiness import Readiness
from innkeeper.telemetry.server import TelemetryServer

log = structlog.get_logger(__name__)

END_WITHIN_S = 5.0  # streams that are open then are cut; hosts go on where they stopped


async def serve(settings: ImagesSettings) -> None:
    """Serve until this is cancelled."""
    logs.configure(form=settings.log_format, level=settings.log_level, process="images")
    async with AsyncExitStack() as stack:
        ports = await start(settings, stack, clock=SystemClock())
        log.info(
            "images_started",
            url=settings.base_url,
            port=ports.port,
            metrics_port=ports.metrics_port,
            directory=str(settings.directory or ""),
        )
        try:
            await asyncio.Event().wait()
        finally:
            log.info("images_ending")


@dataclass(frozen=True)
class Ports:
    """What is really listened on, where 0 was asked for."""

    port: int
    metrics_port: int


async def start(settings: ImagesSettings, stack: AsyncExitStack, *, clock: Clock) -> Ports:
    """Start everything; `stack` ends it."""
    registry = CollectorRegistry()
    metrics = ProcessMetrics(registry, process=Process.IMAGES)
    policy = OriginPolicy(listed_hosts=settings.allow_http_host, listed_networks=settings.allow_network)
    client = await stack.enter_async_context(Client(Credentials.load(settings.kubeconfig)))
    client.observed_by(metrics.wrote)
    session = await stack.enter_async_context(client_session(policy))
    parts = build(settings, client=client, session=session, policy=policy, clock=clock, registry=registry)
    stack.push_async_callback(parts.close)
    runner = runner_of(parts.application)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, settings.listen, settings.port, ssl_context=_tls(settings, stack, clock))
    await site.start()
    CertificateMetrics(registry).follows("images", settings.tls_cert_file)
    telemetry = await stack.enter_async_context(
        TelemetryServer(
            listen=settings.listen,
            port=settings.metrics_port,
            registry=registry,
            readiness=_readiness(settings),
        )
    )
    return Ports(int(runner.addresses[0][1]), telemetry.port)


def runner_of(application: web.Application) -> web.AppRunner:
    """Return what serves; a request ends when who asked leaves, since it would hold a place and an origin for nobody."""
    return web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        handler_cancellation=True,
        shutdown_timeout=END_WITHIN_S,
    )


def _readiness(settings: ImagesSettings) -> Readiness:
    """Ready means: it listens (this runs only then), and its directories are there."""
    readiness = Readiness()
    for name, directory in (("directory", settings.directory), ("store", settings.store_directory)):
        if directory is not None:
            readiness.add(name, partial(_gone, directory))
    return readiness


def _gone(directory: Path) -> str | None:
    return None if directory.is_dir() else f"the directory {directory} is not there; mount it"


def _tls(settings: ImagesSettings, stack: AsyncExitStack, clock: Clock) -> ssl.SSLContext | None:
    """Return how to serve, with a certificate that is read again whenever somebody renews it."""
    if (
        settings.tls_cert_file is None or settings.tls_key_file is None
    ):  # both or none: the settings see to it
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served = ServedCertificate(context, certificate=settings.tls_cert_file, key=settings.tls_key_file)
    served.load()
    following = asyncio.create_task(served.follow(clock), name="certificate")
    stack.callback(following.cancel)
    return context
