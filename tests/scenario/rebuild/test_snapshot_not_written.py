"""A snapshot file that cannot be written: the one of before is older, and that says nothing of the store."""

import asyncio
from pathlib import Path

import pytest

from innkeeper.domain.rebuild.gate import Standing
from innkeeper.kube.resources import HOSTS
from innkeeper.processes import gate as gates
from innkeeper.processes.gate import Gate
from innkeeper.processes.store_history import History
from innkeeper.settings import OperatorSettings
from tests.scenario.rebuild.conftest import Scene
from tests.scenario.rebuild.gates import a_gate, asking, mark


@pytest.fixture
def settings(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OperatorSettings:
    """Give the settings of an operator in a store that was led, with a host that is silent."""
    monkeypatch.setattr(gates, "AGAIN_S", 0.05)
    mark(scene.api)
    scene.api.create(HOSTS, {"metadata": {"name": "silent"}, "spec": {"cluster": "lab"}})
    return asking(tmp_path, snapshot_file=tmp_path / "snapshot")


def refuse_writes(settings: OperatorSettings, *, refused: bool = True) -> None:
    """Have no file be written beside the snapshot, or have them be written again."""
    assert settings.snapshot_file is not None
    in_the_way = settings.snapshot_file.with_name(f"{settings.snapshot_file.name}.new")
    if refused:
        in_the_way.mkdir()
    else:
        in_the_way.rmdir()


async def write(gate: Gate, *, times: int = 1) -> None:
    """Have the operator write its snapshot some times, as it does now and then."""
    assert gate.snapshots is not None
    for _ in range(times):
        await gate.snapshots.write()


async def standing(gate: Gate) -> Standing:
    """Return what the operator's snapshots say of the store as it is."""
    assert gate.snapshots is not None
    history: History = await gate._history.read()
    return gate.snapshots.standing(history)


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_the_next_start_leads_at_once_by_the_file_of_before(
    scene: Scene, settings: OperatorSettings, failures: int
) -> None:
    async with a_gate(scene.api, settings) as gate:
        await write(gate)
        refuse_writes(settings)
        await write(gate, times=failures)
    async with a_gate(scene.api, settings) as gate, asyncio.timeout(60):
        assert await standing(gate) is Standing.SAME
        assert await gate.enter(), "nothing was lost, so no host has to be heard"


async def test_one_that_is_written_again_is_the_one_that_counts(
    scene: Scene, settings: OperatorSettings
) -> None:
    async with a_gate(scene.api, settings) as gate:
        await write(gate)
        refuse_writes(settings)
        await write(gate, times=2)
        refuse_writes(settings, refused=False)
        copy = scene.api.store.backup()
        await write(gate)
    await scene.api.down()
    scene.api.store.put_back(copy)
    await scene.api.up()
    async with a_gate(scene.api, settings) as gate:
        assert await standing(gate) is Standing.OTHER_HISTORY


async def test_a_process_that_knows_more_than_its_file_finds_that_the_store_was_put_back(
    scene: Scene, settings: OperatorSettings
) -> None:
    async with a_gate(scene.api, settings) as gate:
        await write(gate)
        copy = scene.api.store.backup()
        refuse_writes(settings)
        await write(gate)
        await scene.api.down()
        scene.api.store.put_back(copy)
        await scene.api.up()
        assert await standing(gate) is Standing.OTHER_HISTORY
