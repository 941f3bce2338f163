"""A snapshot after something happened to the store itself: its API server started again, or etcd was put back."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import HOSTS
from innkeeper.processes.operator import OperatorProcess
from tests.integration.operator.test_snapshot import a_host, operating, ways
from tests.kit.operator_process import StubImageServer
from tests.kit.own_plane import own_plane
from tests.kit.plane_store import PlaneStore
from tests.kit.waiting import eventually

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.timeout(300),
    # kopf, in a loop of its own, leaves a session open when it is ended while it begins or the API server is away.
    pytest.mark.filterwarnings("ignore:Unclosed (connector|client session):ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PlaneStore]:
    with own_plane("store", tmp_path) as plane:
        yield PlaneStore(
            plane.name,
            Credentials.from_kubeconfig(plane.admin),
            Credentials.from_kubeconfig(plane.operator),
        )


async def create(store: PlaneStore, *names: str) -> int:
    """Create Hosts; return the version of the last one."""
    version = 0
    async with Client(store.admin) as client:
        for name in names:
            version = int((await client.create(HOSTS, a_host(name))).metadata.resource_version)
    return version


@asynccontextmanager
async def knowing(
    store: PlaneStore, images: StubImageServer, file: Path, *names: str
) -> AsyncIterator[OperatorProcess]:
    """Run an operator until it knows these Hosts."""
    async with operating(store.operator, images, file) as process:
        await eventually(lambda: set(names) <= set(process.subset.hosts), deadline_s=60)
        yield process


async def test_a_store_that_was_put_back_is_listed_even_where_its_versions_grew_past_the_snapshot(
    store: PlaneStore, images: StubImageServer, tmp_path: Path
) -> None:
    file = tmp_path / "snapshot"
    async with knowing(store, images, file):
        pass
    store.copy(tmp_path / "backup")
    seen = await create(store, "lost")
    async with knowing(store, images, file, "lost"):
        pass
    store.put_back(tmp_path / "backup")
    others = [f"new-{number}" for number in range(30)]
    # Versions are each store's own count: now the same numbers mean other things.
    assert await create(store, *others) > seen
    async with operating(store.operator, images, file) as process:
        assert set(process.subset.hosts) == set(others), "what the store lost is not remembered"
        assert ways(process) == {"list": 1}
        told = {"outcome": "other_history"}
        assert process.registry.get_sample_value("innkeeper_snapshot_loads_total", told) == 1


async def test_an_api_server_that_began_anew_is_not_asked_for_everything(
    store: PlaneStore, images: StubImageServer, tmp_path: Path
) -> None:
    file = tmp_path / "snapshot"
    known = [f"known-{number}" for number in range(5)]
    await create(store, *known)
    async with knowing(store, images, file, *known):
        pass
    await create(store, "meanwhile")
    store.restart_api_server()
    async with operating(store.operator, images, file) as process:
        assert set(process.subset.hosts) == {*known, "meanwhile"}
        assert "list" not in ways(process), "a watch that expired is mended by metadata"


async def test_a_replica_that_was_killed_while_it_wrote_begins_from_the_snapshot_before(
    store: PlaneStore, images: StubImageServer, tmp_path: Path
) -> None:
    """Killed after the store was marked, before the file was there: the mark before still counts."""
    file = tmp_path / "snapshot"
    await create(store, "kept")
    async with knowing(store, images, file, "kept") as process:
        assert process.snapshots is not None
        await process.snapshots.write()
        before = file.read_bytes()
    # What an orderly end wrote last is taken away; what a crash leaves of a new file lies beside.
    file.write_bytes(before)
    file.with_name("snapshot.new").write_bytes(before[:100])
    async with operating(store.operator, images, file) as process:
        assert set(process.subset.hosts) == {"kept"}
        assert ways(process) == {"snapshot": 1}
