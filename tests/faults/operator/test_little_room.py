"""Many guests, little room, views that are wrong: nothing is promised twice, and what fits somewhere gets there."""

from collections import Counter

import pytest

from innkeeper.kube.resources import GUESTS, HOSTS
from innkeeper.views.guest import Guest
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import view
from tests.kit.waiting import eventually, settled

ROOM = 2
NAMES = ("a", "b", "c")
PLACES = ROOM * len(NAMES)


@pytest.fixture(name="scene")
def _little_room(scene: GuestScene) -> GuestScene:
    """Three hosts, each with room for two guests, and addresses enough."""
    scene.api.patch(HOSTS, "a", {"metadata": {"labels": {"rack": "a"}}})
    scene.patch_status(HOSTS, "a", {"allocatable": {"cpu": str(ROOM), "memory": "16Gi", "disk": "200Gi"}})
    for name in NAMES[1:]:
        scene.add_host(name, store_id=f"store-{name}", cpu=str(ROOM))
    for host in scene.hosts.values():
        host.room = ROOM
    return scene


def bound(scene: GuestScene) -> list[Guest]:
    """Return the guests that are bound, as the API server holds them."""
    guests = [view(each, Guest) for each in scene.api.objects(GUESTS)]
    return [each for each in guests if each.status.host is not None]


async def all_is_as_the_api_server_says(scene: GuestScene, *, running: int) -> None:
    """Recount from the API server's objects: hosts, promises of every operator, what runs."""

    def placed() -> bool:
        return sum(len(host.running) for host in scene.hosts.values()) == running

    await eventually(placed)
    await settled(lambda: len(scene.api.calls))
    counted = Counter(each.status.host for each in bound(scene))
    assert max(counted.values()) <= ROOM
    assert sum(counted.values()) == running
    assert {name: len(host.running) for name, host in scene.hosts.items()} == {
        name: counted[name] for name in NAMES
    }
    for operator in scene.operators:
        promises = operator.subset.promises
        await eventually(lambda told=promises: {name: told.count(name) for name in NAMES} == dict(counted))


async def test_two_operators_fill_the_hosts_and_no_more(scene: GuestScene) -> None:
    await scene.operator()
    await scene.operator()
    for number in range(PLACES - 1):
        scene.add_guest(f"web-{number}", number=number + 1)
    await all_is_as_the_api_server_says(scene, running=PLACES - 1)


async def test_lost_and_refused_writes_leave_no_promise_behind(scene: GuestScene) -> None:
    scene.api.faults.fail("update guests/status *", status=500, times=3)
    scene.api.faults.fail("create assignments *", status=409, times=2)
    await scene.operator()
    for number in range(PLACES - 1):
        scene.add_guest(f"web-{number}", number=number + 1)
    await all_is_as_the_api_server_says(scene, running=PLACES - 1)


async def test_an_operator_that_thinks_there_is_room_is_told_by_the_host(scene: GuestScene) -> None:
    """Host c says in its Host that it may promise much; its agent knows better, and its guests go elsewhere."""
    scene.patch_status(HOSTS, "c", {"allocatable": {"cpu": "64", "memory": "64Gi", "disk": "900Gi"}})
    await scene.operator()
    for number in range(PLACES - 1):
        scene.add_guest(f"web-{number}", number=number + 1)
    await all_is_as_the_api_server_says(scene, running=PLACES - 1)
    assert max(each.status.epoch for each in bound(scene)) > 1, "some were refused, and came back"


async def test_one_that_starts_anew_counts_what_the_one_before_promised(scene: GuestScene) -> None:
    first = await scene.operator()
    scene.add_guest("web-0", number=1)
    scene.add_guest("web-1", number=2)
    await eventually(lambda: sum(len(host.running) for host in scene.hosts.values()) == 2)
    await first.kill()
    scene.operators.remove(first)
    await scene.operator()
    for number in range(2, PLACES - 1):
        scene.add_guest(f"web-{number}", number=number + 1)
    await all_is_as_the_api_server_says(scene, running=PLACES - 1)
