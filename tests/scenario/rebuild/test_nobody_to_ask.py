"""A rebuild or a heal with no host to ask: it is refused, and the gate stays shut."""

from pathlib import Path

import pytest

from innkeeper.domain.rebuild.gate import RebuildState
from innkeeper.errors import TerminalError
from innkeeper.kube.resources import HOSTS
from innkeeper.processes import gate as gates
from tests.kit.waiting import eventually
from tests.scenario.rebuild.conftest import Scene
from tests.scenario.rebuild.gates import a_gate, asking, ended, mark, marks, rebuilt


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


async def test_a_first_installation_without_hosts_is_led_at_once(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "hosts.yaml"
    file.write_text("hosts: []")
    for settings in (asking(tmp_path), asking(tmp_path, hosts_file=file)):
        async with a_gate(scene.api, settings) as gate:
            assert await gate.enter()
