"""A store that was put back to before a guest was operated on: nothing is done to the guest once more.

The hosts here forget what they did, as after very many operations since the copy.
"""

from collections.abc import AsyncIterator

import pytest

from innkeeper.kube.resources import GUEST_OPERATIONS
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE
from tests.kit.waiting import settled
from tests.scenario.rebuild.putting_back import furnished, hear, put_back, restore


@pytest.fixture
async def scene() -> AsyncIterator[GuestScene]:
    """Give a guest that was rebooted."""
    async with furnished() as made:
        await made.operator()
        made.add_guest()
        await made.until_ready()
        made.operate("Reboot", "first")
        await made.until_phase("Succeeded", name="first")
        yield made


async def operated_on(scene: GuestScene, *, times: int) -> None:
    """Have a guest rebooted more often, and its host forget all that it did."""
    for number in range(times):
        scene.operate("Reboot", f"later-{number}")
        await scene.until_phase("Succeeded", name=f"later-{number}")
    scene.hosts["a"]._operations.clear()


@pytest.mark.parametrize("is_gone", [False, True])  # an operation that is over is deleted some time later
async def test_one_that_was_over_in_the_copy_is_not_done_again(scene: GuestScene, *, is_gone: bool) -> None:
    if is_gone:
        scene.api.delete(GUEST_OPERATIONS, "first", namespace=NAMESPACE)
        await settled(lambda: len(scene.api.calls))
    backup = scene.api.store.backup()
    await operated_on(scene, times=3)
    done = list(scene.hosts["a"].done)
    await put_back(scene, backup)
    await scene.until_ready()
    await settled(lambda: len(scene.api.calls))
    assert scene.hosts["a"].done == done
    [assignment] = scene.assignments()
    assert assignment.status.outcome == "Accepted", "it has an order above all that its host held"


async def test_nor_is_it_where_the_guest_was_changed_since(scene: GuestScene) -> None:
    backup = scene.api.store.backup()
    await operated_on(scene, times=1)
    scene.patch_guest({"spec": {"restartPolicy": "Never"}})
    await scene.until_ready()
    scene.hosts["a"]._operations.clear()
    done = list(scene.hosts["a"].done)
    await put_back(scene, backup)
    assert (await scene.until_ready()).spec.restart_policy == "Never"
    await settled(lambda: len(scene.api.calls))
    assert scene.hosts["a"].done == done


async def test_one_that_is_asked_for_after_the_restore_is_done(scene: GuestScene) -> None:
    backup = scene.api.store.backup()
    await operated_on(scene, times=2)
    done = list(scene.hosts["a"].done)
    await restore(scene, backup)
    uid = scene.operate("Reboot", "after")
    await hear(scene)
    await scene.operator()
    await scene.until_phase("Succeeded", name="after")
    assert scene.hosts["a"].done == [*done, ("Reboot", uid)]
