"""Killed right before or right after any of its writes, the next rebuild ends in the same state."""

import asyncio

import pytest

from innkeeper.kube.client import Client
from tests.scenario.rebuild.conftest import Scene
from tests.scenario.rebuild.killing import KILLED, Kill

HOSTS, GUESTS = 2, 3
WRITES = (
    3 + 1 + HOSTS + 4 * GUESTS
)  # namespaces, the Cluster, Hosts; Guest, claim, binding and order of each guest


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, WRITES + 1))
async def test_the_next_run_completes_it(scene: Scene, nth: int, moment: str) -> None:
    scene.furnish(hosts=HOSTS, guests=GUESTS)
    scene.workers = 1
    scene.api.on_write = kill = Kill(nth, moment)
    async with Client(scene.api.credentials(KILLED)) as client:
        await kill.ends(scene.rebuild(client).run(scene.hosts))
    outcome = await scene.run()
    assert outcome.findings == []
    scene.assert_as_hosts_hold()


async def test_the_number_of_writes_is_what_is_counted_above(scene: Scene) -> None:
    scene.furnish(hosts=HOSTS, guests=GUESTS)
    await scene.run()
    assert len(scene.api.writes()) == WRITES


async def test_two_at_once_make_everything_once(scene: Scene) -> None:
    scene.furnish(hosts=3, guests=12)
    first, second = await asyncio.gather(scene.run(), scene.run())
    assert first.findings == []
    assert second.findings == []
    scene.assert_as_hosts_hold()
