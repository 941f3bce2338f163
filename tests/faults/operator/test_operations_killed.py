"""Killed before or after any write of an operation, the next operator has it done once and told to its end."""

import pytest

from tests.faults.operator.axe import MOMENTS, Axe, succeed
from tests.kit.guest_scene import GuestScene
from tests.kit.waiting import eventually, settled

WRITES = [
    ("patch guestoperations/status", 1),  # its guest is written down
    ("patch assignments", 1),
    ("patch guestoperations/status", 2),
    ("patch guestoperations/status", 3),  # its end
]


async def ready(scene: GuestScene) -> None:
    """Have an operator and a guest that runs."""
    await scene.operator()
    scene.add_guest()
    await scene.until_ready()
    await settled(scene.api.writes)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("point", WRITES)
async def test_while_an_operation_goes_its_way(
    scene: GuestScene, point: tuple[str, int], moment: str
) -> None:
    await ready(scene)
    host = scene.hosts["a"]
    host.operates = False
    axe = Axe(point[0], nth=point[1], moment=moment, user="operator-1")
    scene.on_write = axe
    uid = scene.operate("Reboot")
    if point[0] == "patch guestoperations/status" and point[1] > 1:
        await eventually(lambda: bool(host.done))
        host.finish(uid)
        host.look()
    else:
        host.operates = True
    await succeed(scene, axe)
    found = await scene.until_phase("Succeeded")
    assert [each.name for each in found.status.steps] == ["Accepted", "Ordered", "Started", "Finished"]
    await settled(scene.api.writes)
    assert host.done == [("Reboot", uid)]
    assert scene.assignments()[0].spec.serial == 2


@pytest.mark.parametrize("moment", MOMENTS)
async def test_while_an_operation_is_deleted_at_the_end_of_its_time(scene: GuestScene, moment: str) -> None:
    await ready(scene)
    scene.on_write = axe = Axe("delete guestoperations", nth=1, moment=moment, user="operator-1")
    uid = scene.operate("Reboot", ttlSecondsAfterFinished=0)
    await succeed(scene, axe)
    await eventually(lambda: scene.operation() is None)
    await settled(scene.api.writes)
    assert scene.hosts["a"].done == [("Reboot", uid)]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_the_second_operation_is_not_lost_with_the_end_of_the_first(
    scene: GuestScene, moment: str
) -> None:
    await ready(scene)
    scene.on_write = axe = Axe("patch assignments", nth=2, moment=moment, user="operator-1")
    first = scene.operate("Pause", "op-1")
    await scene.until_phase("Succeeded", name="op-1")
    second = scene.operate("Resume", "op-2")
    await succeed(scene, axe)
    await scene.until_phase("Succeeded", name="op-2")
    assert scene.hosts["a"].done == [("Pause", first), ("Resume", second)]
