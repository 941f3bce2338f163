"""An informer finds that the store was put back: the gate hears of it at once, also where no mark is missing."""

import asyncio
from pathlib import Path

import pytest

from innkeeper.domain.rebuild.gate import RebuildState
from innkeeper.kube.resources import HOSTS
from innkeeper.processes import gate as gates
from innkeeper.processes.gate import Gate, HistoryLostError
from tests.kit.fake_api import FakeApi
from tests.kit.waiting import eventually, settled
from tests.scenario.rebuild.conftest import Scene
from tests.scenario.rebuild.gates import a_gate, asking, ended, marks


async def put_back_a_young_copy(api: FakeApi, gate: Gate) -> None:
    """Have the operator see an object that was made after its last mark, and put the store back to before that."""
    copy = api.store.backup()
    for number in range(5):
        api.create(HOSTS, {"metadata": {"name": f"since-{number}"}, "spec": {"cluster": "lab"}})
    seen = gate._watches.hosts.informer.objects
    await eventually(lambda: len(seen) == 5, deadline_s=60)
    await api.down()
    api.store.put_back(copy)
    await api.up()


async def test_whoever_leads_ends_at_once_and_decides_nothing_by_the_older_view(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "LOOK_S", 3600.0)
    settings = asking(tmp_path, snapshot_every_s=3600)
    async with a_gate(scene.api, settings) as gate:
        assert await gate.enter()
        gate._watches.unused.clear()  # as whoever leads does
        async with ended(gate.guard()) as guard:
            await put_back_a_young_copy(scene.api, gate)
            with pytest.raises(HistoryLostError):
                async with asyncio.timeout(60):
                    await guard
        found = marks(scene.api)
        assert found is not None
        assert gate._term in found["term"], "the copy holds the last mark: that tells nothing"
        held = gate._watches.hosts.informer.objects
        assert await settled(lambda: len(held)) == 5, "the view is the one by which was decided"
        await gate.note_lost()
        gate._watches.unused.set()
        await eventually(lambda: not gate._watches.hosts.informer.objects, deadline_s=60)
    found = marks(scene.api)
    assert found is not None
    assert found["rebuild"].startswith(RebuildState.HEALING), "whoever leads next hears hosts first"


async def test_a_replica_that_stood_by_hears_hosts_before_it_leads(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "AGAIN_S", 0.05)
    hosts = tmp_path / "hosts.yaml"
    hosts.write_text("hosts: []")
    settings = asking(tmp_path, hosts_file=hosts)
    async with a_gate(scene.api, settings) as gate:
        async with asyncio.timeout(60):
            await gate.opened()
        hosts.write_text('hosts: [{name: a, address: "127.0.0.1:9"}]')
        await put_back_a_young_copy(scene.api, gate)
        await eventually(gate._watches.went_back.is_set, deadline_s=60)
        async with ended(gate.enter()) as entering:
            await eventually(lambda: entering.done() or "not heard: a" in str(gate.trouble), deadline_s=60)
            assert not entering.done()
