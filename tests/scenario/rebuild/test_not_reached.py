"""A Host of which nobody says where its agent is reached: it may hold guests, so it takes a person's word to go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from kit import host_api as trial
from prometheus_client import CollectorRegistry

from innkeeper.clock import SystemClock
from innkeeper.domain.names import SYSTEM_NAMESPACE
from innkeeper.domain.rebuild.gate import RebuildState
from innkeeper.errors import TerminalError
from innkeeper.kube.client import Client
from innkeeper.kube.resources import CONFIG_MAPS, HOSTS
from innkeeper.processes import gate as gates
from innkeeper.processes.gate import Gate
from innkeeper.processes.rebuild import RebuildCommand, RebuildWish
from innkeeper.processes.store_history import OBJECT
from innkeeper.processes.watches import Watches
from innkeeper.settings import OperatorSettings
from innkeeper.state.subset import Subset
from innkeeper.telemetry.metrics import RebuildMetrics
from innkeeper.workers.rebuild.rebuild import Outcome
from tests.kit.fake_api import FakeApi
from tests.kit.waiting import eventually
from tests.scenario.rebuild.conftest import Scene

HOST = "joined-since"


@pytest.fixture
def settings(scene: Scene, tmp_path: Path) -> OperatorSettings:
    """Give an operator that can ask hosts, in a store that has one Host, and no HostAgent of it."""
    scene.api.create(HOSTS, {"metadata": {"name": HOST}, "spec": {"cluster": "lab"}})
    authority = trial.authority(tmp_path)
    pair = trial.operator_pair(authority)
    key = tmp_path / "order.key"
    key.write_bytes(b"\x07" * 32)
    return OperatorSettings(
        order_key_file=key,
        hosts_ca_file=authority.own.certificate,
        hosts_certificate_file=pair.certificate,
        hosts_key_file=pair.key,
    )


@asynccontextmanager
async def a_gate(api: FakeApi, settings: OperatorSettings) -> AsyncIterator[Gate]:
    """Give the gate of an operator whose view is complete."""
    async with Client(api.credentials("operator")) as client:
        subset, clock = Subset(), SystemClock()
        watches = Watches(client, clock=clock, subset=subset)
        tasks = [asyncio.create_task(each.informer.run()) for each in watches.all]
        try:
            async with asyncio.timeout(60):
                await watches.synced()
            metrics = RebuildMetrics(CollectorRegistry())
            yield Gate(settings, client=client, clock=clock, watches=watches, subset=subset, metrics=metrics)
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_operator_in_a_store_that_was_put_back_waits_for_it(
    scene: Scene, settings: OperatorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "AGAIN_S", 0.05)
    marks = {"token": "t", "term": "a", "rebuild": str(RebuildState.HEALING)}
    scene.api.create(CONFIG_MAPS, {"metadata": {"name": OBJECT}, "data": marks}, namespace=SYSTEM_NAMESPACE)
    async with a_gate(scene.api, settings) as gate:
        entering = asyncio.create_task(gate.enter())
        await eventually(lambda: entering.done() or HOST in str(gate.trouble), deadline_s=60)
        assert not entering.done()
        assert "name those in the hosts file" in str(gate.trouble)
        scene.api.patch(HOSTS, HOST, {"spec": {"lost": "never came to be"}})
        async with asyncio.timeout(60):
            assert await entering
        assert gate.trouble is None


async def rebuilt(scene: Scene, settings: OperatorSettings, *without: str) -> Outcome:
    """Run the command, to its end."""
    async with Client(scene.api.credentials("operator")) as client:
        command = RebuildCommand(
            settings,
            RebuildWish(without=frozenset(without)),
            client=client,
            clock=SystemClock(),
            say=lambda _: None,
            progress=lambda _what, _done, _total: None,
        )
        return await command.run()


async def test_a_rebuild_writes_nothing_without_it_unless_a_person_gives_it_up(
    scene: Scene, settings: OperatorSettings
) -> None:
    outcome = await rebuilt(scene, settings)
    assert "name it in the hosts file" in outcome.unheard[HOST]
    assert scene.api.get(CONFIG_MAPS, OBJECT, namespace=SYSTEM_NAMESPACE) is None
    with pytest.raises(TerminalError, match="--without names hosts that nobody asks anyway: other"):
        await rebuilt(scene, settings, "other")
    assert (await rebuilt(scene, settings, HOST)).is_complete
    noted = scene.api.get(CONFIG_MAPS, OBJECT, namespace=SYSTEM_NAMESPACE)
    assert noted is not None
    assert noted["data"]["rebuild"].startswith(RebuildState.DONE)
