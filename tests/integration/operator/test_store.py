"""A snapshot after something happened to the store itself: its API server started again, or etcd was put back."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit.control_plane import lifecycle, state

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import HOSTS
from innkeeper.processes.operator import OperatorProcess
from tests.integration.operator.test_snapshot import a_host, operating, ways
from tests.kit.operator_process import StubImageServer
from tests.kit.own_plane import SCRIPT, own_plane
from tests.kit.waiting import eventually

pytestmark = pytest.mark.control_plane


@dataclass(frozen=True)
class Store:
    """An API server and its etcd that a test may take away."""

    name: str
    admin: Credentials
    operator: Credentials

    def copy(self, to: Path) -> None:
        """Copy what etcd holds, as a backup at rest."""
        plane = self._plane()
        lifecycle.stop(plane)
        shutil.copytree(plane.directory / "etcd-data", to)
        lifecycle.start(plane)

    def put_back(self, copy: Path) -> None:
        """Have etcd hold what it held when the copy was made."""
        plane = self._plane()
        lifecycle.stop(plane)
        shutil.rmtree(plane.directory / "etcd-data")
        shutil.copytree(copy, plane.directory / "etcd-data")
        lifecycle.start(plane)

    def restart_api_server(self) -> None:
        """Have the API server begin anew; etcd goes on."""
        subprocess.run(
            [SCRIPT, "restart-apiserver", "--name", self.name], capture_output=True, timeout=110, check=True
        )

    def _plane(self) -> state.ControlPlane:
        found = state.load(self.name)
        assert found is not None
        return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with own_plane("store", tmp_path) as plane:
        yield Store(
            plane.name,
            Credentials.from_kubeconfig(plane.admin),
            Credentials.from_kubeconfig(plane.operator),
        )


async def create(store: Store, *names: str) -> int:
    """Create Hosts; return the version of the last one."""
    version = 0
    async with Client(store.admin) as client:
        for name in names:
            version = int((await client.create(HOSTS, a_host(name))).metadata.resource_version)
    return version


@asynccontextmanager
async def knowing(
    store: Store, images: StubImageServer, file: Path, *names: str
) -> AsyncIterator[OperatorProcess]:
    """Run an operator until it knows these Hosts."""
    async with operating(store.operator, images, file) as process:
        await eventually(lambda: set(names) <= set(process.subset.hosts))
        yield process


async def test_a_store_that_was_put_back_is_listed_even_where_its_versions_grew_past_the_snapshot(
    store: Store, images: StubImageServer, tmp_path: Path
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
    store: Store, images: StubImageServer, tmp_path: Path
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
    store: Store, images: StubImageServer, tmp_path: Path
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
