"""A snapshot that is whole, but holds objects that cannot be read: they are looked for at the API server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.kube.relisting import Way
from innkeeper.kube.resources import HOSTS
from innkeeper.settings import OperatorSettings
from innkeeper.state import snapshot
from tests.kit import objects
from tests.kit.fake_api import FakeApi
from tests.scenario.rebuild.gates import a_gate

NO_MSGPACK = b"\xc1"


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as fake:
        fake.create(HOSTS, objects.host("a"))
        yield fake


async def leave_snapshot(api: FakeApi, settings: OperatorSettings) -> None:
    async with a_gate(api, settings) as gate:
        assert gate.snapshots is not None
        await gate.snapshots.write()


def spoil_hosts(file: Path) -> None:
    """Put into the file what is no object, as a program that went wrong might have written it."""
    content = file.read_bytes()
    at = content.index(bytes(dict(snapshot.contents(content))["hosts"]))
    body = content[:at] + NO_MSGPACK + content[at + 1 : -32]
    file.write_bytes(body + snapshot._digest(body))


async def test_what_cannot_be_read_is_listed(api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    settings = OperatorSettings(snapshot_file=file)
    await leave_snapshot(api, settings)
    spoil_hosts(file)
    async with a_gate(api, settings) as gate:
        assert set(gate._subset.hosts) == {"a"}
        assert gate._watches.hosts.informer.starts == {Way.SNAPSHOT: 1, Way.LIST: 1}
