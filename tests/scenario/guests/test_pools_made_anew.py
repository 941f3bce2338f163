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


def with_pool(name: str, **asked: object) -> dict[str, object]:
    return {"interfaces": [{"name": "eth0", "addresses": [{"pool": name, **asked}]}]}


async def meeting(scene: GuestScene, how: str) -> str:
    """Have a guest hold 10.7.0.2 of a space, and return a pool of another that comes to serve its cluster."""
    ranges = {"order": "Lowest", "ranges": [{"start": "10.7.0.2", "end": "10.7.0.3"}]}
    scene.api.create(IP_POOLS, objects.pool("a", addressSpace="a", clusters=["other"], **ranges))
    # Whoever judges the rest by this pool, where it is gone, has the address rest for longer than the default.
    quarantine = "5m" if how == "widened" else "1h"
    scene.api.create(
        IP_POOLS, objects.pool("b", addressSpace="b", clusters=["lab"], quarantine=quarantine, **ranges)
    )
    scene.add_guest("holder", spec=with_pool("b"))
    holder = await scene.until_ready("holder")
    assert [each.address for each in holder.status.addresses] == ["10.7.0.2"]
    pools = scene.operators[0].subset.pools
    if how == "widened":
        scene.api.patch(IP_POOLS, "a", {"spec": {"clusters": ["other", "lab"]}})
        await eventually(lambda: pools["a"].spec.clusters == ["other", "lab"])
        return "a"
    scene.api.delete(IP_POOLS, "b")
    scene.api.create(IP_POOLS, objects.pool("n", addressSpace="n", clusters=["lab"], **ranges))
    await eventually(lambda: "b" not in pools and "n" in pools)
    return "n"


@pytest.mark.parametrize("how", ["widened", "forced away"])
async def test_an_address_in_use_is_given_by_no_pool_of_another_space_that_meets_it(
    scene: GuestScene, how: str
) -> None:
    """Neither a pool that comes to serve a cluster nor the loss of one frees what a guest there holds.

    Once it is released, it rests where its pool is there; of one that is lost it rests in its own space alone.
    """
    pool = await meeting(scene, how)
    scene.add_guest("next", number=2, spec=with_pool(pool))
    found = await scene.until_ready("next")
    assert [each.address for each in found.status.addresses] == ["10.7.0.3"]
    scene.add_guest("fixed", number=3, spec=with_pool(pool, address="10.7.0.2"))
    told = await scene.until_reason("AddressTaken", name="fixed")
    assert "held by the Guest default/holder" in told.message
    scene.add_guest("last", number=4, spec=with_pool(pool))
    await scene.until_reason("PoolExhausted", name="last")
    scene.delete_guest("fixed")
    scene.delete_guest("holder")
    await eventually(lambda: scene.guest("holder") is None)
    await scene.until_reason("PoolExhausted" if how == "widened" else "Running", name="last")
    assert len(scene.addresses(held=False)) == 1
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(301)
    await scene.operators[0].sweeper.sweep()
    found = await scene.until_ready("last")
    assert [each.address for each in found.status.addresses] == ["10.7.0.2"]
    await eventually(lambda: not scene.addresses(held=False))


async def test_what_rests_of_a_pool_is_given_in_another_space_as_soon_as_that_pool_is_gone(
    scene: GuestScene,
) -> None:
    """It rests in its own address space alone then; a guest that waits is offered it, and none that comes later."""
    last, other = ([{"start": f"10.9.0.{number}", "end": f"10.9.0.{number}"}] for number in (3, 1))
    network = {"cidr": "10.9.0.0/29", "gateway": None, "dns": [], "clusters": ["lab"]}
    scene.api.create(IP_POOLS, objects.pool("old", addressSpace="old", ranges=last, **network))
    scene.add_guest("holder", spec=with_pool("old"))
    await scene.until_ready("holder")
    scene.api.patch(IP_POOLS, "old", {"spec": {"ranges": other}})
    await scene.seen()
    scene.api.create(IP_POOLS, objects.pool("new", addressSpace="new", ranges=last, **network))
    scene.add_guest(number=2, spec=with_pool("new"))
    scene.delete_guest("holder")
    await scene.until_gone("holder")
    await scene.until_reason("PoolExhausted")
    scene.api.delete(IP_POOLS, "old")
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] == ["10.9.0.3"]
    assert len(scene.addresses(held=False)) == 1, "the rest is not over"


async def test_a_pool_that_is_being_deleted_gives_no_address_and_stands_in_nobodys_way(
    scene: GuestScene,
) -> None:
    scene.api.patch(IP_POOLS, "lab", {"metadata": {"finalizers": ["innkeeper.dev/kopf"]}})
    scene.api.patch(IP_POOLS, "lab", {"spec": {"order": "Lowest"}})
    pools = scene.operators[0].subset.pools
    await eventually(lambda: pools["lab"].spec.order == "Lowest")
    scene.add_guest("holder")
    held = (await scene.until_ready("holder")).status.addresses[0].address
    scene.api.delete(IP_POOLS, "lab")
    await eventually(lambda: pools["lab"].metadata.deletion_timestamp is not None)
    scene.add_guest("late", number=2)
    await scene.until_reason("PoolUnusable", name="late")
    scene.api.create(IP_POOLS, objects.pool("new", order="Lowest"))
    scene.add_guest(number=3, spec=with_pool("new"))
    found = await scene.until_ready()
    assert (held, found.status.addresses[0].address) == ("10.7.0.2", "10.7.0.3")
