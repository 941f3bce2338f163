"""What a claim leaves behind when it breaks off: in the operator's memory, and in the API server."""

import asyncio

import pytest

from innkeeper.clock import SystemClock
from innkeeper.domain.addressing.pool import number_of, understand
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.kube.client import Client
from innkeeper.kube.resources import IP_ADDRESSES, IP_POOLS
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from innkeeper.views.network import IPPool
from innkeeper.workers.claiming import Claiming
from innkeeper.workers.network import NetworkWorker
from innkeeper.workers.shortage import Wanted
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.fake_api import Call, FakeApi, Fault
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id, view
from tests.kit.waiting import eventually, settled


async def test_a_choice_that_breaks_leaves_no_claim_begun_and_no_address_taken() -> None:
    """The second wish is for what is no address; the first one was chosen by then."""
    pool = understand(view(objects.pool(), IPPool).spec)
    wanted = [
        Wanted(interface=f"eth{index}", name="lab", pool=pool, fixed=fixed, held=None)
        for index, fixed in enumerate(("10.7.0.4", "no address"))
    ]
    subset = Subset()
    async with FakeApi() as api, Client(api.credentials()) as client:
        with pytest.raises(ValueError, match="no address"):
            await Claiming(client, subset, SystemClock()).claim(view(objects.guest(), Guest), wanted)
        assert api.calls == []
    assert subset.claims.count_of_namespace("lab", "default") == 0
    assert number_of("10.7.0.4")[1] not in subset.claims.taken(pool)


async def test_what_was_claimed_stays_the_guests_where_the_rest_is_taken() -> None:
    """Made or found, it may be bound by now: an operator that was the leader wakes up in the middle of a claim."""
    pool = understand(view(objects.pool(), IPPool).spec)
    names = ("made", "found", "taken")
    wanted = [
        Wanted(interface=name, name="lab", pool=pool, fixed=f"10.7.0.{last}", held=None)
        for last, name in enumerate(names, start=3)
    ]
    interfaces = [{"name": name, "pool": "lab"} for name in names]
    guest = view(objects.guest(spec={"interfaces": interfaces}), Guest)
    async with FakeApi() as api, Client(api.credentials()) as client:
        found = objects.address(4)
        found["spec"]["owner"]["interface"] = "found"
        api.create(IP_ADDRESSES, found)
        api.create(IP_ADDRESSES, objects.address(5, owner="somebody"))
        answer = await NetworkWorker(client, Subset(), ManualClock()).claim(guest, wanted)
        assert isinstance(answer, Blocked)
        owners = {each["spec"]["address"]: each["spec"]["owner"]["id"] for each in api.objects(IP_ADDRESSES)}
        assert owners == {"10.7.0.3": guest_id(), "10.7.0.4": guest_id(), "10.7.0.5": "somebody"}


async def test_of_two_that_ask_for_the_same_addresses_crosswise_one_gets_both() -> None:
    """None of them waits with one of the two for ever: neither where one process serves both, nor where two do."""
    pool = understand(view(objects.pool(), IPPool).spec)
    spec = {"interfaces": [{"name": name, "pool": "lab"} for name in ("eth0", "eth1")]}
    guests = [view(objects.guest(f"g{number}", number=number, spec=spec), Guest) for number in (1, 2)]
    wanted = [
        [
            Wanted(interface=name, name="lab", pool=pool, fixed=f"10.7.0.{last}", held=None)
            for name, last in zip(("eth0", "eth1"), order, strict=True)
        ]
        for order in ((3, 4), (4, 3))
    ]
    for subsets in ([Subset()] * 2, [Subset(), Subset()]):
        async with FakeApi() as api, Client(api.credentials()) as client:
            workers = [NetworkWorker(client, each, ManualClock()) for each in subsets]
            answers = await asyncio.gather(
                *(
                    each.claim(*which)
                    for each, which in zip(workers, zip(guests, wanted, strict=True), strict=True)
                )
            )
            owners = {each["spec"]["owner"]["name"] for each in api.objects(IP_ADDRESSES)}
        assert len(owners) == 1
        assert sorted(isinstance(each, Blocked) for each in answers) == [False, True]


def two_pools(scene: GuestScene) -> None:
    """Have `lab` give one address and `other` two: of the fewer ones a claim is made first."""
    scene.api.patch(IP_POOLS, "lab", {"spec": {"ranges": [{"start": "10.7.0.5", "end": "10.7.0.5"}]}})
    scene.api.create(IP_POOLS, objects.pool("other", cidr="10.8.0.0/29", gateway=None, ranges=[TWO]))


def taken(scene: GuestScene, pool: str, address: str) -> None:
    """Claim an address for a guest of somebody else's, as another operator would."""
    made = objects.address(7, owner="somebody")
    made["metadata"]["name"] = f"default.{address}"
    made["spec"] |= {"pool": pool, "address": address}
    scene.api.create(IP_ADDRESSES, made)


async def the_second_pool_is_taken_unheard(scene: GuestScene) -> None:
    """Have somebody else hold both addresses of `other`, while the operator hears nothing of any IPAddress."""
    two_pools(scene)
    await scene.seen()
    scene.api.faults.hold_watch("ipaddresses", user="operator-1")
    for last in (1, 2):
        taken(scene, "other", f"10.8.0.{last}")


def claimed_by_web(scene: GuestScene) -> list[str]:
    owned = ((each.spec.address, each.spec.owner) for each in scene.addresses())
    return sorted(address for address, owner in owned if owner is not None and owner.id == guest_id())


TWO = {"start": "10.8.0.1", "end": "10.8.0.2"}
MORE = {"start": "10.8.0.1", "end": "10.8.0.3"}
BOTH = {"interfaces": [{"name": "eth0", "pool": "lab"}, {"name": "eth1", "pool": "other"}]}


async def test_what_a_guest_is_bound_to_is_claimed_by_it_however_old_the_view_of_claims_is(
    frozen_scene: GuestScene,
) -> None:
    """Its second address was taken, and its pool gets another one, while nothing is heard of any IPAddress."""
    scene = frozen_scene
    await the_second_pool_is_taken_unheard(scene)
    scene.add_guest(spec=BOTH)
    await scene.until_reason("PoolExhausted")
    scene.api.patch(IP_POOLS, "other", {"spec": {"ranges": [MORE]}})
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] == ["10.7.0.5", "10.8.0.3"]
    assert claimed_by_web(scene) == ["10.7.0.5", "10.8.0.3"]
    scene.add_guest("second", number=2)
    await scene.until_reason("PoolExhausted", "second")


async def test_an_operator_that_fails_to_claim_takes_nothing_from_a_guest_that_another_one_bound(
    frozen_scene: GuestScene,
) -> None:
    """The other one saw the first claim, and knew sooner of a second address."""
    scene = frozen_scene
    await the_second_pool_is_taken_unheard(scene)
    scene.api.faults.hold_watch("ippools", user="operator-1")
    faults: list[Fault] = []

    def hold_the_second(call: Call, moment: str) -> None:
        if moment == "after" and call.matches("create ipaddresses default.10.7.0.5"):
            faults.append(scene.api.faults.hold("create ipaddresses *"))

    scene.on_write = hold_the_second
    scene.add_guest(spec=BOTH)
    await eventually(lambda: faults and faults[0].met)
    scene.api.patch(IP_POOLS, "other", {"spec": {"ranges": [MORE]}})
    await scene.operator()
    await scene.until_ready()
    assert faults[0].gate is not None
    faults[0].gate.set()
    assert await settled(lambda: claimed_by_web(scene)) == ["10.7.0.5", "10.8.0.3"]


async def test_who_finds_the_fewer_addresses_taken_holds_none_of_the_others(frozen_scene: GuestScene) -> None:
    scene = frozen_scene
    two_pools(scene)
    await scene.seen()
    scene.api.faults.hold_watch("ipaddresses", user="operator-1")
    taken(scene, "lab", "10.7.0.5")
    scene.add_guest(spec={"interfaces": BOTH["interfaces"][::-1]})
    await scene.until_reason("PoolExhausted")
    assert [each.spec.address for each in scene.addresses()] == ["10.7.0.5"]


async def test_what_a_guest_holds_while_it_waits_for_the_rest_rests_when_it_goes(
    frozen_scene: GuestScene,
) -> None:
    scene = frozen_scene
    await the_second_pool_is_taken_unheard(scene)
    scene.add_guest(spec=BOTH)
    await scene.until_reason("PoolExhausted")
    scene.delete_guest()
    await scene.until_gone()
    assert [each.spec.address for each in scene.addresses(held=False)] == ["10.7.0.5"]
