"""Two replicas in a store that was put back: one hears hosts, and for the other one the loss is over as well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from innkeeper.clock import SystemClock, rfc3339
from innkeeper.domain.names import SYSTEM_NAMESPACE
from innkeeper.domain.rebuild.gate import RebuildState
from innkeeper.kube.resources import CONFIG_MAPS, HOSTS
from innkeeper.processes import gate as gates
from innkeeper.processes.gate import Gate
from innkeeper.processes.store_history import OBJECT
from innkeeper.settings import OperatorSettings
from innkeeper.state import snapshot
from innkeeper.state.snapshot_hosts import hosts_of
from innkeeper.workers.rebuild.hearing import Hearing
from tests.kit.agent_orders import KEYS
from tests.kit.waiting import eventually
from tests.scenario.rebuild.conftest import Scene
from tests.scenario.rebuild.gates import a_gate, asking, ended, mark, marks

HOST, DELETED = "a", "b"


class LaterClock(SystemClock):
    """The time of day, and some seconds that a test adds."""

    def __init__(self) -> None:
        self.later_s = 0.0

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        return super().now() + timedelta(seconds=self.later_s)


class Pair:
    """Two replicas' settings and their clock, beside a store that may be put back."""

    def __init__(self, scene: Scene, directory: Path) -> None:
        self.scene = scene
        self.clock = LaterClock()
        self.settings = [self._settings(directory / name) for name in ("one", "other")]
        mark(scene.api)
        scene.host(HOST)
        scene.api.create(HOSTS, {"metadata": {"name": HOST}, "spec": {"cluster": "lab"}})
        self.copy()
        scene.host(DELETED)
        scene.api.create(HOSTS, {"metadata": {"name": DELETED}, "spec": {"cluster": "lab"}})

    def _settings(self, directory: Path) -> OperatorSettings:
        directory.mkdir()
        return asking(directory, snapshot_file=directory / "snapshot")

    def replica(self, number: int) -> Any:
        """Give a start of a replica."""
        return a_gate(self.scene.api, self.settings[number], clock=self.clock)

    def named(self, number: int) -> set[str]:
        """Return the hosts that a replica's snapshot names."""
        file = self.settings[number].snapshot_file
        assert file is not None
        return set(hosts_of(snapshot.read(file)))

    def copy(self) -> None:
        """Copy the store."""
        self._copy = self.scene.api.store.backup()

    async def put_back(self) -> None:
        """Put the store back to the last copy: at first to before the second host and the replicas' marks."""
        api = self.scene.api
        await api.down()
        api.store.put_back(self._copy)
        await api.up()

    async def heal(self) -> None:
        """Have the first replica hear hosts, some time later."""
        self.clock.later_s += 30
        async with self.replica(0) as gate, asyncio.timeout(60):
            assert await gate.enter()
        assert (marks(self.scene.api) or {})["rebuild"].startswith(RebuildState.DONE)

    def delete_a_host(self) -> None:
        """Have a person delete the second host, which is silent from then on."""
        self.clock.later_s += 30
        self.scene.hosts.pop(DELETED)
        self.scene.api.delete(HOSTS, DELETED)


@pytest.fixture
def pair(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Give two replicas that know two hosts; what those say comes from memory."""

    @asynccontextmanager
    async def hearing(*_: Any, **__: Any) -> AsyncIterator[Hearing]:
        yield Hearing(scene.hosts.get, keys=KEYS, clock=SystemClock(), again_s=0.001)

    monkeypatch.setattr(gates, "AGAIN_S", 0.05)
    monkeypatch.setattr(gates, "hearing", hearing)
    return Pair(scene, tmp_path)


async def write(gate: Gate) -> None:
    """Have a replica write its snapshot, as it does now and then."""
    assert gate.snapshots is not None
    await gate.snapshots.write()


async def is_kept_again(gate: Gate, pair: Pair, number: int) -> bool:
    """Have a replica write, and tell whether its snapshot is of the store as it is."""
    await write(gate)
    return pair.named(number) == {HOST}


async def test_one_that_stood_by_meanwhile_leads_at_once_later_on(pair: Pair) -> None:
    async with pair.replica(0) as gate:
        await write(gate)
    async with pair.replica(1) as gate:
        await write(gate)
        assert pair.named(1) == {HOST, DELETED}
        await pair.put_back()
        await eventually(gate._watches.went_back.is_set, deadline_s=60)
        await write(gate)
        assert pair.named(1) == {HOST, DELETED}, "it is kept until hosts were heard"
        await pair.heal()
        pair.delete_a_host()
        await eventually(lambda: is_kept_again(gate, pair, 1), deadline_s=60)
        assert not gate._watches.went_back.is_set()
        pair.scene.hosts.clear()
        async with asyncio.timeout(60):
            assert await gate.enter(), "no host is asked: none may hold what the store does not know"


async def test_one_that_begins_after_it_leads_at_once(pair: Pair) -> None:
    for number in range(2):
        async with pair.replica(number) as gate:
            await write(gate)
    await pair.put_back()
    await pair.heal()
    pair.delete_a_host()
    pair.scene.hosts.clear()
    async with pair.replica(1) as gate, asyncio.timeout(60):
        assert await gate.enter()
        await write(gate)
        assert pair.named(1) == {HOST}


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(hours=1)])
async def test_a_heal_of_before_the_snapshot_counts_for_nothing(pair: Pair, ahead: timedelta) -> None:
    """Nor does one that was noted by a clock that was ahead: a later loss would look made good."""
    done = {"data": {"rebuild": f"{RebuildState.DONE} {rfc3339(pair.clock.now() + ahead)}"}}
    pair.scene.api.patch(CONFIG_MAPS, OBJECT, done, namespace=SYSTEM_NAMESPACE)
    pair.copy()
    pair.clock.later_s += 30
    async with pair.replica(1) as gate:
        await write(gate)
    await pair.put_back()
    pair.scene.hosts.clear()
    async with pair.replica(1) as gate, ended(gate.enter()) as entering:
        await eventually(lambda: entering.done() or "not heard" in str(gate.trouble), deadline_s=60)
        assert not entering.done()
