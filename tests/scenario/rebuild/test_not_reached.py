"""A Host of which nobody says where its agent is reached: it may hold guests, so it takes a person's word to go on."""

import asyncio
from pathlib import Path

import pytest

from innkeeper.domain.rebuild.gate import RebuildState
from innkeeper.errors import TerminalError
from innkeeper.kube.resources import HOSTS
from innkeeper.processes import gate as gates
from innkeeper.settings import OperatorSettings
from tests.kit.waiting import eventually
from tests.scenario.rebuild.conftest import Scene
from tests.scenario.rebuild.gates import a_gate, asking, mark, marks, rebuilt

HOST = "joined-since"


@pytest.fixture
def settings(scene: Scene, tmp_path: Path) -> OperatorSettings:
    """Give an operator that can ask hosts, in a store that has one Host, and no HostAgent of it."""
    scene.api.create(HOSTS, {"metadata": {"name": HOST}, "spec": {"cluster": "lab"}})
    return asking(tmp_path)


async def test_an_operator_in_a_store_that_was_put_back_waits_for_it(
    scene: Scene, settings: OperatorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "AGAIN_S", 0.05)
    mark(scene.api, rebuild=str(RebuildState.HEALING))
    async with a_gate(scene.api, settings) as gate:
        entering = asyncio.create_task(gate.enter())
        await eventually(lambda: entering.done() or HOST in str(gate.trouble), deadline_s=60)
        assert not entering.done()
        assert "name those in the hosts file" in str(gate.trouble)
        scene.api.patch(HOSTS, HOST, {"spec": {"lost": "never came to be"}})
        async with asyncio.timeout(60):
            assert await entering
        assert gate.trouble is None
    noted = marks(scene.api)
    assert noted is not None
    assert noted["rebuild"].startswith(RebuildState.HEALING), (
        "no host was heard, so nothing is known to be done"
    )


async def test_a_rebuild_writes_nothing_without_it(scene: Scene, settings: OperatorSettings) -> None:
    outcome = await rebuilt(scene.api, settings)
    assert "name it in the hosts file" in outcome.unheard[HOST]
    assert marks(scene.api) is None
    with pytest.raises(TerminalError, match="--without names hosts that nobody asks anyway: other"):
        await rebuilt(scene.api, settings, "other")
    with pytest.raises(TerminalError, match="every host that is known was given up"):
        await rebuilt(scene.api, settings, HOST)
    assert marks(scene.api) is None
