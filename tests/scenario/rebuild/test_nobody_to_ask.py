"""A rebuild or a heal with no host to ask: it is refused, and the gate stays shut."""

import asyncio
from pathlib import Path

import pytest

from innkeeper.domain.rebuild.gate import RebuildPolicy, RebuildState
from innkeeper.errors import TerminalError
from innkeeper.kube.resources import HOSTS
from innkeeper.processes import gate as gates
from innkeeper.processes.gate import Gate
from tests.kit.waiting import eventually
from tests.scenario.rebuild.conftest import Scene
from tests.scenario.rebuild.gates import a_gate, asking, ended, keep_snapshot, mark, marks, rebuilt


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("listed", [None, "hosts: []"])
async def test_a_rebuild_that_knows_no_host_is_refused_and_leaves_the_gate_shut(
    scene: Scene, tmp_path: Path, listed: str | None, *, dry_run: bool
) -> None:
    file = tmp_path / "hosts.yaml"
    if listed is not None:
        file.write_text(listed)
    settings = asking(tmp_path, hosts_file=file if listed is not None else None)
    with pytest.raises(TerminalError, match=r"there is no host to ask.*--hosts-file"):
        await rebuilt(scene.api, settings, dry_run=dry_run)
    assert marks(scene.api) is None
    file.write_text('hosts: [{name: a, address: "127.0.0.1:9"}]')
    async with a_gate(scene.api, asking(tmp_path, hosts_file=file)) as gate:
        assert not await gate.enter(), "an operator still waits for a rebuild that heard somebody"


async def test_a_rebuild_asks_no_host_that_was_said_to_be_lost(scene: Scene, tmp_path: Path) -> None:
    scene.api.create(
        HOSTS, {"metadata": {"name": "gone"}, "spec": {"cluster": "lab", "lost": "it burnt down"}}
    )
    with pytest.raises(TerminalError, match="there is no host to ask"):
        await rebuilt(scene.api, asking(tmp_path))
    assert marks(scene.api) is None


async def test_an_operator_in_a_store_that_was_put_back_waits_until_somebody_names_a_host(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "AGAIN_S", 0.05)
    mark(scene.api, rebuild=str(RebuildState.HEALING))
    file = tmp_path / "hosts.yaml"
    file.write_text("hosts: []")
    settings = asking(tmp_path, hosts_file=file)
    async with a_gate(scene.api, settings) as gate, ended(gate.enter()) as entering:
        await eventually(lambda: entering.done() or "no host is known" in str(gate.trouble), deadline_s=60)
        file.write_text('hosts: [{name: a, address: "127.0.0.1:9"}]')
        await eventually(lambda: entering.done() or "not heard: a" in str(gate.trouble), deadline_s=60)
        assert not entering.done()
    noted = marks(scene.api)
    assert noted is not None
    assert noted["rebuild"].startswith(RebuildState.HEALING)


async def write(gate: Gate) -> None:
    """Have the operator write its snapshot, as it does now and then."""
    assert gate.snapshots is not None
    await gate.snapshots.write()


@pytest.mark.parametrize("is_marked_since", [True, False])
async def test_an_operator_that_never_had_a_host_leads_in_a_store_that_was_put_back(
    scene: Scene, tmp_path: Path, *, is_marked_since: bool
) -> None:
    mark(scene.api)
    settings = asking(tmp_path, snapshot_file=tmp_path / "snapshot")
    copy = scene.api.store.backup()
    async with a_gate(scene.api, settings) as gate:
        await write(gate)
        if not is_marked_since:
            copy = scene.api.store.backup()
        assert await gate.enter()
        scene.api.store.put_back(copy)
        await gate.note_lost()
    async with a_gate(scene.api, settings) as gate, asyncio.timeout(60):
        assert await gate.enter(), "no host joined, so none may hold what the store does not know"
    assert (marks(scene.api) or {})["rebuild"].startswith(RebuildState.DONE)


async def test_a_snapshot_of_another_store_does_not_say_that_there_was_no_host(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "AGAIN_S", 0.05)
    mark(scene.api, rebuild=str(RebuildState.HEALING))
    file = tmp_path / "snapshot"
    keep_snapshot(file, {})
    async with (
        a_gate(scene.api, asking(tmp_path, snapshot_file=file)) as gate,
        ended(gate.enter()) as entering,
    ):
        await eventually(lambda: entering.done() or "no host is known" in str(gate.trouble), deadline_s=60)
        assert not entering.done()


@pytest.mark.parametrize("state", [RebuildState.HEALING, RebuildState.REBUILDING])
async def test_a_person_who_has_it_lead_without_asking_need_not_say_so_again(
    scene: Scene, tmp_path: Path, state: RebuildState
) -> None:
    mark(scene.api, rebuild=str(state))
    async with a_gate(scene.api, asking(tmp_path, rebuild=RebuildPolicy.NEVER)) as gate:
        assert await gate.enter()
    async with a_gate(scene.api, asking(tmp_path)) as gate, asyncio.timeout(60):
        await gate.opened()
        assert await gate.enter()


async def test_a_first_installation_without_hosts_is_led_at_once(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "hosts.yaml"
    file.write_text("hosts: []")
    for settings in (asking(tmp_path), asking(tmp_path, hosts_file=file)):
        async with a_gate(scene.api, settings) as gate:
            assert await gate.enter()
