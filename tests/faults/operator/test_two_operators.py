"""Two operators at once, with election off: one binding a guest, one order, no address lost, nothing destroyed."""

from innkeeper.kube.resources import HOSTS
from tests.kit.fake_api import Call
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled

GUESTS = 5  # as many as the pool has addresses


async def check(scene: GuestScene) -> None:
    found = [await scene.until_ready(f"web-{number}") for number in range(GUESTS)]
    bound = sorted(each.address for guest in found for each in guest.status.addresses)
    assert len(set(bound)) == GUESTS
    await settled(lambda: len(scene.api.writes()))
    # A claim of the one that lost a race may be left for the sweeper; it takes no other guest's address.
    for _ in range(4):
        for operator in scene.operators:
            await operator.sweeper.sweep()
    await eventually(lambda: sorted(each.spec.address for each in scene.addresses()) == bound)
    assert len(scene.assignments()) == GUESTS
    assert all(guest.status.epoch == 1 for guest in found)
    assert sum(len(host.running) for host in scene.hosts.values()) == GUESTS
    for operator in scene.operators:
        promises = operator.subset.promises
        assert sum(promises.count(name) for name in scene.hosts) == GUESTS


async def test_two_operators_build_each_guest_once(scene: GuestScene) -> None:
    scene.add_host("b", store_id="store-b")
    await scene.operator()
    await scene.operator()
    for number in range(GUESTS):
        scene.add_guest(f"web-{number}", number=number + 1)
    await check(scene)
    assert len(scene.api.writes("create assignments *")) == GUESTS


async def test_the_slower_one_loses_its_binding_not_its_promise(scene: GuestScene) -> None:
    """One is held just before its binding until the other has bound the guest to another host."""
    scene.add_host("b", store_id="store-b")
    slow = await scene.operator()
    hold = scene.api.faults.hold("update guests/status *")
    scene.add_guest("web-0", number=1, finalizers=["innkeeper.dev/guest"])
    await eventually(lambda: hold.met)
    placed = slow.subset.promises.host_of(guest_id())
    assert placed is not None
    scene.api.patch(HOSTS, placed, {"spec": {"unschedulable": True}})
    await scene.operator()
    found = await scene.until_ready("web-0")
    assert found.status.host != placed
    await eventually(lambda: slow.subset.guests["default", "web-0"].status.host == found.status.host)
    assert hold.gate is not None
    hold.gate.set()
    await settled(lambda: len(scene.api.calls))
    assert slow.subset.promises.host_of(guest_id()) == found.status.host
    assert (slow.subset.promises.count("a"), slow.subset.promises.count("b")).count(1) == 1
    assert len(scene.addresses()) == 1
    assert len(scene.assignments()) == 1


async def test_two_operators_delete_each_guest_once(scene: GuestScene) -> None:
    await scene.operator()
    await scene.operator()
    for number in range(GUESTS):
        scene.add_guest(f"web-{number}", number=number + 1)
    await check(scene)
    for number in range(GUESTS):
        scene.delete_guest(f"web-{number}")
    for number in range(GUESTS):
        await scene.until_gone(f"web-{number}")
    assert len(scene.hosts["a"].destroyed) == GUESTS
    assert scene.addresses() == []
    assert len(scene.addresses(held=False)) == GUESTS


async def test_changes_under_two_operators_end_in_one_order(scene: GuestScene) -> None:
    await scene.operator()
    await scene.operator()
    scene.add_guest()
    await scene.until_ready()
    seen: list[Call] = []
    scene.on_write = lambda call, moment: seen.append(call) if moment == "after" else None
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await scene.until_ready(reason="Stopped")
    await settled(lambda: len(scene.api.calls))
    assert len([call for call in seen if call.resource == "assignments"]) == 1
    assert scene.assignments()[0].spec.serial == 2
