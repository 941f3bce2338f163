"""A guest with one address on two interfaces, each from an address space of its own: each claim is one interface's."""

import pytest

from innkeeper.kube.resources import GUESTS, IP_ADDRESSES, IP_POOLS
from innkeeper.views.guest import Guest
from innkeeper.workers.sweeper import SIGHTINGS, Finding
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.fake_api import Call
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled

BOTH = {"default.10.7.0.2": "eth0", "blue.10.7.0.2": "eth1"}


@pytest.fixture
async def scene(frozen_scene: GuestScene) -> GuestScene:
    """Give a guest with both."""
    scene = frozen_scene
    scene.api.patch(IP_POOLS, "lab", {"spec": {"order": "Lowest"}})
    scene.api.create(IP_POOLS, objects.pool("blue", addressSpace="blue", vlan=7, order="Lowest"))
    await scene.seen()
    return scene


def asks(scene: GuestScene) -> None:
    interfaces = [{"name": "eth0", "pool": "lab"}, {"name": "eth1", "pool": "blue"}]
    scene.api.create(GUESTS, objects.guest(spec={"interfaces": interfaces}), namespace="default")


def held(scene: GuestScene) -> dict[str, str]:
    """Return for which interface each address is held."""
    return {each.metadata.name: each.spec.owner.interface for each in scene.addresses() if each.spec.owner}


def bound(guest: Guest) -> dict[str, str]:
    """Return what the guest is bound to on each interface."""
    return {each.interface: each.address for each in guest.status.addresses}


async def forget(scene: GuestScene, name: str) -> None:
    """Take a claim away by force."""
    scene.api.patch(IP_ADDRESSES, name, {"metadata": {"finalizers": None}})
    scene.api.delete(IP_ADDRESSES, name)
    claims = scene.operators[0].subset.claims.by_name
    await eventually(lambda: name not in claims)


@pytest.mark.parametrize("lost", sorted(BOTH))
async def test_a_claim_that_is_lost_is_made_again(scene: GuestScene, lost: str) -> None:
    asks(scene)
    await scene.until_ready()
    assert held(scene) == BOTH
    await forget(scene, lost)
    for _ in range(SIGHTINGS):
        await scene.operators[0].sweeper.sweep()
    assert held(scene) == BOTH
    assert scene.operators[0].found == [Finding.GUEST_WITHOUT_CLAIM]


async def test_two_that_are_lost_are_seen_as_often_as_one(scene: GuestScene) -> None:
    asks(scene)
    await scene.until_ready()
    for name in BOTH:
        await forget(scene, name)
    for _ in range(SIGHTINGS - 1):
        await scene.operators[0].sweeper.sweep()
    assert held(scene) == {}
    await scene.operators[0].sweeper.sweep()
    assert held(scene) == BOTH


@pytest.mark.parametrize("lost", sorted(BOTH))
async def test_no_order_is_signed_while_one_of_them_is_not_held(scene: GuestScene, lost: str) -> None:
    asks(scene)
    await scene.until_ready()
    await forget(scene, lost)
    scene.api.patch(GUESTS, "web", {"spec": {"power": "Stopped"}}, namespace="default")
    await settled(lambda: [each.spec.desired for each in scene.assignments()])
    assert [each.spec.desired for each in scene.assignments()] == ["Running"]
    for _ in range(SIGHTINGS):
        await scene.operators[0].sweeper.sweep()
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(60)
    await scene.until_reason("Stopped")


async def test_a_leaked_claim_of_a_bound_address_goes(scene: GuestScene) -> None:
    """It is of an interface that is bound to another address."""
    asks(scene)
    await scene.until_ready()
    leaked = objects.address(2)
    leaked["metadata"]["name"] = "green.10.7.0.2"
    leaked["spec"] |= {"pool": "green", "addressSpace": "green"}
    leaked["spec"]["owner"] |= {"interface": "eth2"}
    scene.api.create(IP_ADDRESSES, leaked)
    claims = scene.operators[0].subset.claims.by_name
    await eventually(lambda: "green.10.7.0.2" in claims)
    for _ in range(SIGHTINGS):
        await scene.operators[0].sweeper.sweep()
    assert held(scene) == BOTH


@pytest.mark.parametrize("interface", ["eth0", "eth1"])
async def test_only_the_one_that_another_machine_uses_is_replaced(scene: GuestScene, interface: str) -> None:
    host = scene.hosts["a"]
    host.refuses, host.conflict, host.conflict_interface = "AddressInUse", "10.7.0.2", interface

    def refuses_once(call: Call, moment: str) -> None:
        if moment == "after" and call.matches("create assignments *"):
            host.refuses = host.conflict = None

    scene.on_write = refuses_once
    asks(scene)
    found = await scene.until_ready()
    assert bound(found) == {"eth0": "10.7.0.2", "eth1": "10.7.0.2"} | {interface: "10.7.0.3"}
    [rests] = scene.addresses(held=False)
    assert BOTH[rests.metadata.name] == interface


async def test_a_host_that_does_not_say_which_has_both_replaced(scene: GuestScene) -> None:
    """Its agent is an earlier one: the address that is free rests for nothing, the one in use is never given again."""
    host = scene.hosts["a"]
    host.refuses, host.conflict = "AddressInUse", "10.7.0.2"

    def refuses_once(call: Call, moment: str) -> None:
        if moment == "after" and call.matches("create assignments *"):
            host.refuses = host.conflict = None

    scene.on_write = refuses_once
    asks(scene)
    found = await scene.until_ready()
    assert bound(found) == {"eth0": "10.7.0.3", "eth1": "10.7.0.3"}


async def test_an_address_that_is_reserved_in_both_spaces_is_had_in_both(scene: GuestScene) -> None:
    """The one that the guest holds already is not the one that is reserved for it in the other space."""
    reservation = {"address": "10.7.0.5", "owner": "default/web", "reason": "it was promised"}
    one = {"ranges": [{"start": "10.7.0.2", "end": "10.7.0.2"}], "reservations": [reservation]}
    for name in ("lab", "blue"):
        scene.api.patch(IP_POOLS, name, {"spec": one})
    scene.add_guest("other", number=2, spec={"interfaces": [{"name": "eth0", "pool": "blue"}]})
    await scene.until_ready("other")
    held_before = objects.address(5, owner=guest_id())
    scene.api.create(IP_ADDRESSES, held_before)
    await scene.seen()
    asks(scene)
    found = await scene.until_ready()
    assert bound(found) == {"eth0": "10.7.0.5", "eth1": "10.7.0.5"}
