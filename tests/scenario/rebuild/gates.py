"""The gate of an operator and the command of a person, as both meet a fake API server."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from kit import host_api as trial
from prometheus_client import CollectorRegistry

from innkeeper.clock import Clock, SystemClock
from innkeeper.domain.names import SYSTEM_NAMESPACE, host_namespace
from innkeeper.kube.client import Client
from innkeeper.kube.resources import CONFIG_MAPS
from innkeeper.processes.gate import Gate
from innkeeper.processes.rebuild import RebuildCommand, RebuildWish
from innkeeper.processes.snapshots import Snapshots
from innkeeper.processes.store_history import OBJECT
from innkeeper.processes.watches import Watches
from innkeeper.settings import OperatorSettings
from innkeeper.state import snapshot
from innkeeper.state.snapshot import Kind, Origin
from innkeeper.state.subset import Subset
from innkeeper.telemetry.metrics import RebuildMetrics, SnapshotMetrics
from innkeeper.views.host import Host, HostAgent, HostAgentSpec, HostAgentStatus, Network
from innkeeper.views.meta import Meta
from innkeeper.workers.rebuild.rebuild import Outcome
from tests.kit import objects
from tests.kit.fake_api import FakeApi

R = TypeVar("R")
MARKS = {"token": "t", "term": "a"}  # of a store in which an operator led


def asking(directory: Path, **more: Any) -> OperatorSettings:
    """Return what an operator is told that can ask hosts."""
    authority = trial.authority(directory)
    pair = trial.operator_pair(authority)
    key = directory / "order.key"
    key.write_bytes(b"\x07" * 32)
    return OperatorSettings(
        order_key_file=key,
        hosts_ca_file=authority.own.certificate,
        hosts_certificate_file=pair.certificate,
        hosts_key_file=pair.key,
        **more,
    )


@asynccontextmanager
async def a_gate(
    api: FakeApi, settings: OperatorSettings, *, clock: Clock | None = None
) -> AsyncIterator[Gate]:
    """Give the gate of an operator whose view is complete."""
    async with Client(api.credentials("operator")) as client:
        subset, clock = Subset(), clock or SystemClock()
        watches = Watches(client, clock=clock, subset=subset)
        metrics = RebuildMetrics(CollectorRegistry())
        gate = Gate(settings, client=client, clock=clock, watches=watches, subset=subset, metrics=metrics)
        gate.snapshots = await _loaded(client, settings, watches, clock)
        tasks = [asyncio.create_task(each.informer.run()) for each in watches.all]
        try:
            async with asyncio.timeout(60):
                await watches.synced()
            yield gate
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def ended(work: Coroutine[Any, Any, R]) -> AsyncIterator[asyncio.Task[R]]:
    """Give work that goes on beside the test, and end it with the context."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _loaded(
    client: Client, settings: OperatorSettings, watches: Watches, clock: Clock
) -> Snapshots | None:
    if settings.snapshot_file is None:
        return None
    snapshots = Snapshots(
        settings.snapshot_file,
        client=client,
        clock=clock,
        watches=watches,
        namespace=SYSTEM_NAMESPACE,
        every_s=settings.snapshot_every_s,
        metrics=SnapshotMetrics(CollectorRegistry()),
    )
    await snapshots.load()
    return snapshots


def keep_snapshot(file: Path, addresses: Mapping[str, str]) -> None:
    """Write what an operator knew of another store: hosts, and where each is reached."""
    hosts = [objects.view(objects.host(name), Host) for name in addresses]
    agents = [
        HostAgent(
            metadata=Meta(name="host", namespace=host_namespace(name)),
            spec=HostAgentSpec(cluster="lab", network=Network(bridge="br0")),
            status=HostAgentStatus(address=address),
        )
        for name, address in addresses.items()
    ]
    content = snapshot.encode(
        {"hosts": Kind("7", hosts), "hostagents": Kind("7", agents)},
        views={"hosts": Host, "hostagents": HostAgent},
        origin=Origin("of-the-one-before", "first", "m1"),
        made_at=objects.NOW,
    )
    file.write_bytes(content)


async def rebuilt(api: FakeApi, settings: OperatorSettings, *without: str, dry_run: bool = False) -> Outcome:
    """Run the command, to its end."""
    async with Client(api.credentials("operator")) as client:
        command = RebuildCommand(
            settings,
            RebuildWish(without=frozenset(without), dry_run=dry_run),
            client=client,
            clock=SystemClock(),
            say=lambda _: None,
            progress=lambda _what, _done, _total: None,
        )
        return await command.run()


def mark(api: FakeApi, **data: str) -> None:
    """Have the store say what operators and rebuilds leave in it."""
    api.create(
        CONFIG_MAPS, {"metadata": {"name": OBJECT}, "data": {**MARKS, **data}}, namespace=SYSTEM_NAMESPACE
    )


def marks(api: FakeApi) -> dict[str, str] | None:
    """Return what the store says of itself; None where nobody left a mark."""
    found = api.get(CONFIG_MAPS, OBJECT, namespace=SYSTEM_NAMESPACE)
    return found["data"] if found is not None else None
