"""A pool that was deleted and created again: under its name, or with its addresses under another name."""

import pytest

from innkeeper.domain.orders import OrderAddress, peek
from innkeeper.kube.resources import ASSIGNMENTS, IP_POOLS
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.guest_scene import GuestScene
from tests.kit.waiting import eventually, settled


@pytest.fixture
def scene(frozen_scene: GuestScene) -> GuestScene:
    """Let time stand still."""
    return frozen_scene


def signed(scene: GuestScene) -> list[OrderAddress]:
    [assignment] = scene.assignments()
    return peek(assignment.spec.order).addresses


async def made_anew(scene: GuestScene, **spec: object) -> None:
    """Delete the pool, and create another one under its name."""
    scene.api.delete(IP_POOLS, "lab")
    pools = scene.operators[0].subset.pools
    await eventually(lambda: "lab" not in pools)
    scene.api.create(IP_POOLS, objects.pool(**spec))
    await eventually(lambda: "lab" in pools)


async def looked_at(scene: GuestScene) -> None:
    """Have the guest's order made anew."""
    for power, reason in (("Stopped", "Stopped"), ("Running", "Running")):
        scene.patch_guest({"spec": {"power": power}})
        await scene.until_ready(reason=reason)


@pytest.mark.parametrize(
    "spec",
    [
        {"cidr": "10.7.0.0/16", "gateway": "10.7.255.254"},
        {"vlan": 7},
        {"addressSpace": "other"},
        {"cidr": "10.9.0.0/29", "gateway": "10.9.0.1"},
    ],
    ids=["larger network", "VLAN", "space", "other network"],
)
async def test_another_pool_of_the_same_name_leaves_guests_as_they_were_signed(
    scene: GuestScene, spec: dict[str, object]
) -> None:
    scene.add_guest()
    await scene.until_ready()
    before = signed(scene)
    await made_anew(scene, **spec)
    await looked_at(scene)
    assert signed(scene) == before


async def test_the_same_pool_made_again_goes_on_telling_its_guests(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    await made_anew(scene, dns=["10.7.0.6"])
    await looked_at(scene)
    assert [each.dns for each in signed(scene)] == [["10.7.0.6"]]


async def test_no_order_is_made_of_an_address_that_is_not_in_its_pool(scene: GuestScene) -> None:
    """The Assignment is gone, and with it what was signed: nothing is guessed."""
    scene.add_guest()
    await scene.until_ready()
    await made_anew(scene, cidr="10.9.0.0/29", gateway="10.9.0.1")
    [assignment] = scene.assignments()
    scene.api.delete(ASSIGNMENTS, assignment.metadata.name, namespace=assignment.metadata.namespace)
    await eventually(lambda: not scene.assignments())
    assert await settled(scene.assignments) == []


async def test_guests_of_a_pool_that_took_the_addresses_of_another_get_what_comes_free(
    scene: GuestScene,
) -> None:
    one = [{"start": "10.7.0.5", "end": "10.7.0.5"}]
    scene.api.patch(IP_POOLS, "lab", {"spec": {"ranges": one}})
    await scene.seen()
    scene.add_guest("holder")
    await scene.until_ready("holder")
    scene.api.delete(IP_POOLS, "lab")
    scene.api.create(IP_POOLS, objects.pool("new", ranges=one))
    await scene.seen()
    spec = {"interfaces": [{"name": "eth0", "pool": "new"}]}
    scene.add_guest(number=2, spec=spec)
    await scene.until_reason("PoolExhausted")
    scene.delete_guest("holder")
    await scene.until_gone("holder")
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(31)  # a tenth of the new pool's quarantine: it has no other address
    await scene.operators[0].sweeper.sweep()
    found = await scene.until_ready()
    assert [(each.pool, each.address) for each in found.status.addresses] == [("new", "10.7.0.5")]
