"""A guest that lives elsewhere by a newer binding: its former host is told so, and told again when it is deleted."""

import pytest

from innkeeper.kube.resources import GUESTS, HOSTS
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE, guest_id
from tests.kit.waiting import eventually, settled


@pytest.fixture
async def moved(scene: GuestScene) -> GuestScene:
    """A guest that runs on `a`, was bound to `b` by epoch 2, and runs there."""
    scene.add_guest()
    await scene.until_ready()
    scene.add_host("b", store_id="store-b")
    scene.patch_status(GUESTS, "web", {"host": "b", "epoch": 2}, namespace=NAMESPACE)
    await eventually(lambda: scene.hosts["b"].running)
    await eventually(lambda: not scene.hosts["a"].running)
    return scene


def ordered(scene: GuestScene) -> dict[str, tuple[str, int]]:
    return {each.metadata.namespace: (each.spec.desired, each.spec.epoch) for each in scene.assignments()}


async def test_the_former_host_is_told_by_an_order_of_the_higher_epoch(moved: GuestScene) -> None:
    assert ordered(moved) == {"host-a": ("Superseded", 2), "host-b": ("Running", 2)}
    assert moved.hosts["a"].destroyed == [], "its disk is kept"
    assert (await moved.until_ready()).status.host == "b"
    promises = moved.operators[0].subset.promises
    assert (promises.count("a"), promises.count("b")) == (0, 1)


async def test_it_is_told_once(moved: GuestScene) -> None:
    await moved.until_ready()
    moved.patch_guest({"spec": {"power": "Stopped"}})
    await moved.until_ready(reason="Stopped")
    await settled(lambda: len(moved.api.writes("patch assignments *")))
    [told] = [each for each in moved.assignments() if each.metadata.namespace == "host-a"]
    assert (told.spec.epoch, told.spec.serial) == (2, 1)


async def test_a_deletion_destroys_what_every_host_holds(moved: GuestScene) -> None:
    moved.delete_guest()
    await moved.until_gone()
    assert [host.destroyed for host in moved.hosts.values()] == [[guest_id()], [guest_id()]]
    assert moved.addresses() == []


async def test_a_deletion_waits_for_the_former_host(moved: GuestScene) -> None:
    moved.hear_host("a", heard=False)
    moved.delete_guest()
    await eventually(lambda: moved.hosts["b"].destroyed)
    await settled(lambda: len(moved.api.calls), for_s=0.3)
    assert moved.guest() is not None
    assert ordered(moved)["host-a"][0] == "Destroyed"
    assert len(moved.addresses()) == 1
    moved.hear_host("a", heard=True)
    await moved.until_gone()
    assert moved.hosts["a"].destroyed == [guest_id()]


async def test_a_lost_former_host_is_not_waited_for(moved: GuestScene) -> None:
    moved.hear_host("a", heard=False)
    moved.api.patch(HOSTS, "a", {"spec": {"lost": "stolen"}})
    await eventually(lambda: moved.operators[0].subset.host_is_lost("a"))
    moved.delete_guest()
    await moved.until_gone()
    assert moved.hosts["a"].destroyed == []


async def test_it_comes_back_by_a_still_higher_epoch(moved: GuestScene) -> None:
    moved.patch_status(GUESTS, "web", {"host": "a", "epoch": 3}, namespace=NAMESPACE)
    await eventually(lambda: moved.hosts["a"].running)
    await eventually(lambda: not moved.hosts["b"].running)
    assert ordered(moved) == {"host-a": ("Running", 3), "host-b": ("Superseded", 3)}
