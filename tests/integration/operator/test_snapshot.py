"""An operator that starts from its snapshot lists nothing that it knows, and misses nothing that happened meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import CONFIG_MAPS, HOSTS
from innkeeper.processes.operator import OperatorProcess
from tests.kit.operator_process import StubImageServer, leads, running_operator
from tests.kit.waiting import eventually

pytestmark = pytest.mark.control_plane


@asynccontextmanager
async def operating(
    credentials: Credentials, images: StubImageServer, file: Path
) -> AsyncIterator[OperatorProcess]:
    async with running_operator(
        credentials, images_url=images.url, snapshot_file=file, leader_election=False
    ) as process:
        await leads(process)
        yield process


def ways(process: OperatorProcess, kind: str = "hosts") -> dict[str, float]:
    """Return how often the objects of a kind became known, by way, as the metrics tell it."""
    registry: CollectorRegistry = process.registry
    found = {
        way: registry.get_sample_value("innkeeper_watch_starts_total", {"kind": kind, "way": way})
        for way in ("snapshot", "metadata", "list")
    }
    return {way: count for way, count in found.items() if count}


def a_host(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"cluster": "nowhere", **spec}}


async def test_what_happened_meanwhile_is_seen_and_nothing_is_listed(
    admin: Client, operator_credentials: Credentials, images: StubImageServer, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "snapshot"
    kept, changed, gone, new = (f"{name}-{each}" for each in ("kept", "changed", "gone", "new"))
    for each in (kept, changed, gone):
        await admin.create(HOSTS, a_host(each))
    async with operating(operator_credentials, images, file) as first:
        assert ways(first) == {"list": 1}
        await eventually(lambda: {kept, changed, gone} <= set(first.subset.hosts), deadline_s=60)
    assert file.exists(), "it is written at an orderly end"

    await admin.patch(HOSTS, changed, {"spec": {"maintenance": True}})
    await admin.patch(HOSTS, gone, {"metadata": {"finalizers": None}})
    await admin.delete(HOSTS, gone)
    await admin.create(HOSTS, a_host(new))
    async with operating(operator_credentials, images, file) as second:
        # It leads only when the watches have caught up, so the first look is right already.
        assert ways(second) == {"snapshot": 1}
        assert second.subset.hosts[changed].spec.maintenance
        assert gone not in second.subset.hosts
        assert {kept, new} <= set(second.subset.hosts)


async def test_a_snapshot_of_another_store_is_not_used(
    admin: Client, operator_credentials: Credentials, images: StubImageServer, tmp_path: Path
) -> None:
    file = tmp_path / "snapshot"
    async with operating(operator_credentials, images, file):
        pass
    await admin.patch(
        CONFIG_MAPS, "innkeeper-store", {"data": {"token": "another"}}, namespace="innkeeper-system"
    )
    async with operating(operator_credentials, images, file) as second:
        assert ways(second) == {"list": 1}
        assert (
            second.registry.get_sample_value("innkeeper_snapshot_loads_total", {"outcome": "other_store"})
            == 1
        )


async def test_a_damaged_snapshot_is_not_used(
    operator_credentials: Credentials, images: StubImageServer, tmp_path: Path
) -> None:
    file = tmp_path / "snapshot"
    async with operating(operator_credentials, images, file):
        pass
    file.write_bytes(file.read_bytes()[:-100])
    async with operating(operator_credentials, images, file) as second:
        assert ways(second) == {"list": 1}
