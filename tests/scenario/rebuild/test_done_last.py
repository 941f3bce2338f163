"""Nobody decides anything before the addresses that hosts use are held: neither after a rebuild nor after a heal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from innkeeper.clock import SystemClock
from innkeeper.domain.rebuild.gate import RebuildState
from innkeeper.processes import gate as gates
from innkeeper.processes import rebuild as rebuilds
from innkeeper.settings import OperatorSettings
from innkeeper.workers.rebuild.hearing import Hearing
from tests.kit.agent_orders import KEYS, guest_id
from tests.kit.waiting import eventually
from tests.scenario.rebuild.conftest import Scene
from tests.scenario.rebuild.gates import a_gate, asking, mark, marks, rebuilt


@pytest.fixture
def settings(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OperatorSettings:
    """Give what asks the host `a`, which holds a guest; what it says comes from memory."""

    @asynccontextmanager
    async def hearing(*_: Any, **__: Any) -> AsyncIterator[Hearing]:
        yield Hearing(scene.hosts.get, keys=KEYS, clock=SystemClock())

    monkeypatch.setattr(gates, "AGAIN_S", 0.05)
    for asks in (gates, rebuilds):
        monkeypatch.setattr(asks, "hearing", hearing)
    host = scene.host("a")
    host.hold(host.order())
    file = tmp_path / "hosts.yaml"
    file.write_text('hosts: [{name: a, address: "127.0.0.1:9"}]')
    return asking(tmp_path, hosts_file=file)


def state(scene: Scene) -> str:
    """Return how far the hearing of hosts is, as the store says."""
    return (marks(scene.api) or {}).get("rebuild", "").split()[0]


async def test_a_rebuild_that_cannot_claim_an_address_is_not_done(
    scene: Scene, settings: OperatorSettings
) -> None:
    fault = scene.api.faults.fail("create ipaddresses", status=403, times=None)
    outcome = await rebuilt(scene.api, settings)
    assert len(outcome.unclaimed) == 1
    assert state(scene) == RebuildState.REBUILDING
    async with a_gate(scene.api, settings) as gate:
        assert not await gate.enter(), "an operator still waits"
    scene.api.faults.faults.remove(fault)
    assert (await rebuilt(scene.api, settings)).is_complete
    assert state(scene) == RebuildState.DONE
    scene.assert_as_hosts_hold()


async def test_an_operator_does_not_lead_before_it_claimed_every_address(
    scene: Scene, settings: OperatorSettings
) -> None:
    mark(scene.api, rebuild=str(RebuildState.HEALING))
    fault = scene.api.faults.fail("create ipaddresses", status=403, times=None)
    async with a_gate(scene.api, settings) as gate:
        entering = asyncio.create_task(gate.enter())
        await eventually(lambda: entering.done() or "are held by nobody" in str(gate.trouble), deadline_s=60)
        assert not entering.done()
        scene.api.faults.faults.remove(fault)
        async with asyncio.timeout(60):
            assert await entering
    assert scene.addresses() == {"10.0.0.11": guest_id()}
    scene.assert_as_hosts_hold()
