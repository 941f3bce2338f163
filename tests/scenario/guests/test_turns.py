"""Many guests that cannot go on are looked at in small portions: other work of the same loop has its turns between."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from innkeeper.kube.resources import IP_POOLS
from innkeeper.state import waiting
from innkeeper.views.guest import Guest
from innkeeper.workers.flow import WORKERS
from innkeeper.workers.pool_choice import Refusals
from innkeeper.workers.reach import Reach, Way
from tests.kit.guest_scene import GuestScene
from tests.kit.waiting import eventually

GUESTS = 100


class Turns:
    """Counts the turns of the running loop for as long as nobody stops it."""

    def __init__(self) -> None:
        self.now = 0
        self._next = asyncio.get_running_loop().call_soon(self._count)

    def _count(self) -> None:
        self.now += 1
        self._next = asyncio.get_running_loop().call_soon(self._count)

    def stop(self) -> None:
        self._next.cancel()


async def test_guests_over_their_limit_that_all_look_again_leave_turns_to_others(
    frozen_scene: GuestScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = frozen_scene
    scene.api.patch(IP_POOLS, "lab", {"spec": {"maxPerNamespace": 1}})
    waits = scene.operators[0].subset.waiting
    await eventually(lambda: scene.operators[0].subset.pools["lab"].spec.max_per_namespace)
    for number in range(GUESTS + 1):
        scene.add_guest(f"g{number}", number=number)
    await eventually(lambda: len(waits.wake(waiting.limit("lab", "default"))) == GUESTS, deadline_s=60)
    looks: list[int] = []
    look, turns = Reach.ways, Turns()

    def counted(reach: Reach, guest: Guest, refusals: Refusals) -> Iterator[Way]:
        looks.append(turns.now)
        return look(reach, guest, refusals)

    monkeypatch.setattr(Reach, "ways", counted)
    try:
        scene.operators[0].subset.wake(waiting.spec_of_pool("lab"))
        await eventually(lambda: len(looks) >= GUESTS, deadline_s=60)
    finally:
        turns.stop()
    [(_, most)] = Counter(looks).most_common(1)
    assert most <= WORKERS
