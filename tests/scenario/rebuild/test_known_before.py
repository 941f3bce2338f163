"""An operator whose snapshot is of another store: it knows hosts that nobody else names, and never builds beside them."""

import asyncio
from pathlib import Path

import pytest

from innkeeper.domain.names import SYSTEM_NAMESPACE
from innkeeper.domain.rebuild.gate import RebuildPolicy, RebuildState
from innkeeper.errors import TerminalError
from innkeeper.kube.resources import CONFIG_MAPS, HOSTS
from innkeeper.processes import gate as gates
from innkeeper.processes.gate import Gate
from innkeeper.processes.store_history import OBJECT
from innkeeper.settings import OperatorSettings
from innkeeper.state import snapshot
from innkeeper.state.snapshot_hosts import hosts_of
from tests.kit.waiting import eventually
from tests.scenario.rebuild.conftest import Scene
from tests.scenario.rebuild.gates import a_gate, asking, ended, keep_snapshot, rebuilt

BEFORE = {"a": "127.0.0.1:9", "b": "127.0.0.1:9"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the snapshot of an operator of another store, that knew two hosts."""
    made = tmp_path / "operator.snapshot"
    keep_snapshot(made, BEFORE)
    return made


async def write(gate: Gate) -> None:
    """Have the operator write its snapshot, as it does now and then."""
    assert gate.snapshots is not None
    await gate.snapshots.write()


def named(file: Path) -> dict[str, str | None]:
    """Return the hosts that a snapshot names."""
    return hosts_of(snapshot.read(file))


def damage(file: Path) -> None:
    """Have the file be no snapshot any more."""
    file.write_bytes(b"no snapshot")


def rebuilt_by_a_person(scene: Scene) -> None:
    """Have the store say that hosts were heard."""
    done = {"data": {"rebuild": f"{RebuildState.DONE} now"}}
    scene.api.patch(CONFIG_MAPS, OBJECT, done, namespace=SYSTEM_NAMESPACE)


async def test_an_operator_waits_for_a_person_however_often_it_begins(
    scene: Scene, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "AGAIN_S", 0.05)
    settings = asking(tmp_path, snapshot_file=file)
    for _ in range(2):
        async with a_gate(scene.api, settings) as gate, ended(gate.opened()) as waiting:
            await eventually(lambda: waiting.done() or gate.trouble is not None, deadline_s=60)
            assert f"`innkeeper operator rebuild` with --snapshot-file {file}" in str(gate.trouble)
            assert not await gate.enter()
            await write(gate)
            assert named(file) == BEFORE, "what is known of hosts is kept until somebody asked them"
    async with a_gate(scene.api, settings) as gate:
        rebuilt_by_a_person(scene)
        async with asyncio.timeout(60):
            await gate.opened()
            assert await gate.enter()
        await write(gate)
        assert named(file) == {}, "it goes on from the store as it is"


async def test_a_replica_that_stands_by_keeps_a_snapshot_again_once_another_leads(
    scene: Scene, tmp_path: Path, file: Path
) -> None:
    async with a_gate(scene.api, asking(tmp_path, snapshot_file=file)) as gate:
        rebuilt_by_a_person(scene)
        await write(gate)
        assert named(file) == {}


async def test_an_operator_that_may_asks_the_hosts_that_its_snapshot_names(
    scene: Scene, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "AGAIN_S", 0.05)
    settings = asking(tmp_path, snapshot_file=file, rebuild=RebuildPolicy.AUTO)
    async with a_gate(scene.api, settings) as gate, ended(gate.enter()) as entering:
        await eventually(lambda: entering.done() or "not heard: a, b" in str(gate.trouble), deadline_s=60)
        assert not entering.done()
        for host in BEFORE:
            scene.api.create(HOSTS, {"metadata": {"name": host}, "spec": {"cluster": "lab", "lost": "gone"}})
        async with asyncio.timeout(60):
            assert await entering, "a person's word about each of them is enough"


async def test_an_operator_without_certificates_waits_as_well(
    scene: Scene, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with a_gate(scene.api, OperatorSettings(snapshot_file=file)) as gate:
        assert not await gate.enter()
    never = OperatorSettings(snapshot_file=file, rebuild=RebuildPolicy.NEVER)
    async with a_gate(scene.api, never) as gate:
        assert await gate.enter()
    assert "hosts_not_asked" in capsys.readouterr().out


async def test_a_person_may_give_the_snapshot_to_the_rebuild(
    scene: Scene, tmp_path: Path, file: Path
) -> None:
    outcome = await rebuilt(scene.api, asking(tmp_path, snapshot_file=file))
    assert set(outcome.unheard) == set(BEFORE)
    hosts = tmp_path / "hosts.yaml"
    hosts.write_text('hosts: [{name: c, address: "127.0.0.1:9"}]')
    outcome = await rebuilt(scene.api, asking(tmp_path, snapshot_file=file, hosts_file=hosts), "a")
    assert set(outcome.unheard) == {"b", "c"}
    damage(file)
    with pytest.raises(TerminalError, match=r"--snapshot-file names no hosts: .* damaged"):
        await rebuilt(scene.api, asking(tmp_path, snapshot_file=file, hosts_file=hosts))
