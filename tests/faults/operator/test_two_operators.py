"""Two operators at once, with election off: one binding a guest, one order, no address lost, nothing destroyed."""

from innkeeper.kube.resources import GUESTS, HOSTS, IP_ADDRESSES
from tests.kit import objects
from tests.kit.fake_api import Call
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled

COUNT = 5  # as many as the pool has addresses


async def check(scene: GuestScene) -> None:
    found = [await scene.until_ready(f"web-{number}") for number in range(COUNT)]
    bound = sorted(each.address for guest in found for each in guest.status.addresses)
    assert len(set(bound)) == COUNT
    await settled(lambda: len(scene.api.writes()))
    # A claim of the one that lost a race may be left for the sweeper; it takes no other guest's address.
    for _ in range(4):
        for operator in scene.operators:
            await operator.sweeper.sweep()
    await eventually(lambda: sorted(each.spec.address for each in scene.addresses()) == bound)
    assert len(scene.assignments()) == COUNT
    assert all(guest.status.epoch == 1 for guest in found)
    assert sum(len(host.running) for host in scene.hosts.values()) == COUNT
    for operator in scene.operators:
        promises = operator.subset.promises
        assert sum(promises.count(name) for name in scene.hosts) == COUNT


async def test_two_operators_build_each_guest_once(scene: GuestScene) -> None:
    scene.add_host("b", store_id="store-b")
    await scene.operator()
    await scene.operator()
    for number in range(COUNT):
        scene.add_guest(f"web-{number}", number=number + 1)
    await check(scene)
    assert len(scene.api.writes("create assignments *")) == COUNT


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
    for number in range(COUNT):
        scene.add_guest(f"web-{number}", number=number + 1)
    await check(scene)
    for number in range(COUNT):
        scene.delete_guest(f"web-{number}")
    for number in range(COUNT):
        await scene.until_gone(f"web-{number}")
    assert len(scene.hosts["a"].destroyed) == COUNT
    assert scene.addresses() == []
    assert len(scene.addresses(held=False)) == COUNT


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


async def test_of_two_guests_that_were_bound_to_one_mac_the_younger_never_reaches_a_host(
    scene: GuestScene,
) -> None:
    """Each operator bound one before it saw the other's; the younger says whose MAC it is and waits for that guest."""
    mac = "02:00:00:00:00:07"
    for number, (name, created) in enumerate((("old", "2026-01-01"), ("young", "2026-01-02")), start=1):
        address = f"10.7.0.{number + 1}"
        claim = objects.address(number + 1, owner=guest_id(number))
        scene.api.create(IP_ADDRESSES, claim)
        status = {
            "id": guest_id(number),
            "host": "a",
            "cluster": "lab",
            "epoch": 1,
            "addresses": [{"interface": "eth0", "pool": "lab", "address": address, "mac": mac}],
            "image": {"namespace": "default", "name": "debian", "digest": objects.DIGEST},
            "resources": {"cpu": "1", "memory": "1Gi", "disk": "10Gi"},
        }
        interfaces = [{"name": "eth0", "pool": "lab", "mac": mac}]
        guest = objects.guest(
            name,
            number=number,
            spec={"interfaces": interfaces},
            status=status,
            creationTimestamp=f"{created}T00:00:00Z",
        )
        scene.api.create(GUESTS, guest, namespace="default")
    await scene.operator()
    await scene.until_ready("old")
    refused = await scene.until_reason("MacInUse", "young")
    assert "default/old" in refused.message
    assert [each.spec.guest.name for each in scene.assignments()] == ["old"]
    scene.delete_guest("old")
    await scene.until_ready("young")
