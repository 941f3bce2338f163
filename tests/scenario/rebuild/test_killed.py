"""Killed right before or right after any of its writes, the next rebuild ends in the same state."""

import asyncio
import contextlib

import pytest

from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from tests.kit.fake_api import Call, CutError
from tests.scenario.rebuild.conftest import Scene

HOSTS, GUESTS = 2, 3
WRITES = (
    3 + 1 + HOSTS + 4 * GUESTS
)  # namespaces, the Cluster, Hosts; Guest, claim, binding and order of each guest
KILLED = "killed"


class Kill:
    """Ends a user at its nth write: nothing of that user is carried out from then on."""

    def __init__(self, nth: int, moment: str) -> None:
        self.fell = asyncio.Event()
        self._nth = nth
        self._moment = moment
        self._count = 0

    def __call__(self, call: Call, moment: str) -> None:
        if call.user != KILLED or not call.is_write:
            return
        if self.fell.is_set():
            raise CutError
        self._count += moment == self._moment
        if self._count == self._nth and moment == self._moment:
            self.fell.set()
            raise CutError


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, WRITES + 1))
async def test_the_next_run_completes_it(scene: Scene, nth: int, moment: str) -> None:
    scene.furnish(hosts=HOSTS, guests=GUESTS)
    scene.workers = 1
    kill = Kill(nth, moment)
    scene.api.on_write = kill
    async with Client(scene.api.credentials(KILLED)) as client:
        run = asyncio.ensure_future(scene.rebuild(client).run(scene.hosts))
        fell = asyncio.ensure_future(kill.fell.wait())
        async with asyncio.timeout(10):
            await asyncio.wait({run, fell}, return_when=asyncio.FIRST_COMPLETED)
        for task in (run, fell):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, InnkeeperError):
            await run
    assert kill.fell.is_set()
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
