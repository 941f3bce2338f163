"""Several interfaces and families, reservations, pools by label, and addresses that machines outside use."""

import pytest

from innkeeper.domain import names
from innkeeper.domain.orders import peek
from innkeeper.kube.resources import GUESTS, IP_ADDRESSES, IP_POOLS
from innkeeper.views.guest import Guest
from innkeeper.workers.sweeper import Finding
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.fake_api import Call
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import Document, guest_id
from tests.kit.waiting import eventually, settled


@pytest.fixture
def scene(frozen_scene: GuestScene) -> GuestScene:
    """Let time stand still."""
    return frozen_scene


def ipv6(scene: GuestScene, **spec: object) -> None:
    network = {"cidr": "2001:db8::/64", "gateway": "fe80::1", "dns": ["2001:db8::53"], **spec}
    scene.api.create(IP_POOLS, objects.pool("lab6", **network))


def one_address(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"ranges": [{"start": "10.7.0.5", "end": "10.7.0.5"}]}})


def asks(scene: GuestScene, *interfaces: Document, name: str = "web", number: int = 1) -> None:
    guest = objects.guest(name, number=number, spec={"interfaces": list(interfaces)})
    scene.api.create(GUESTS, guest, namespace="default")


DUAL = {"name": "eth0", "addresses": [{"pool": "lab"}, {"pool": "lab6"}]}


async def test_both_families_and_a_second_interface_reach_the_host(scene: GuestScene) -> None:
    ipv6(scene, searchDomains=["lab.example"], mtu=1400)
    asks(scene, DUAL, {"name": "eth1", "pool": "lab", "mac": "02:00:00:00:00:77"})
    found = await scene.until_ready()
    told = {(each.interface, each.pool): each for each in found.status.addresses}
    assert set(told) == {("eth0", "lab"), ("eth0", "lab6"), ("eth1", "lab")}
    assert (
        told["eth0", "lab"].mac == told["eth0", "lab6"].mac != told["eth1", "lab"].mac == "02:00:00:00:00:77"
    )
    [assignment] = scene.assignments()
    order = {each.address: each for each in peek(assignment.spec.order).addresses}
    six = order[told["eth0", "lab6"].address]
    assert (six.prefix_length, six.gateway, six.dns) == (64, "fe80::1", ["2001:db8::53"])
    assert (six.search_domains, six.mtu) == (["lab.example"], 1400)
    name = next(each.metadata.name for each in scene.addresses() if ":" in each.spec.address)
    assert len(name) == len("default.") + 39


async def test_no_family_is_claimed_where_the_other_is_missing(scene: GuestScene) -> None:
    """The last IPv6 address is taken between the look and the claim; of IPv4 there are more, so none is claimed yet."""
    ipv6(scene, ranges=[{"start": "2001:db8::7", "end": "2001:db8::7"}])
    name = "default.2001-0db8-0000-0000-0000-0000-0000-0007"

    def overtaken(call: Call, moment: str) -> None:
        if moment == "before" and call.matches("create ipaddresses *") and not scene.addresses():
            taken = objects.address(7, owner="other")
            taken["metadata"]["name"] = name
            taken["spec"] |= {"pool": "lab6", "address": "2001:db8::7"}
            scene.api.create(IP_ADDRESSES, taken)

    scene.on_write = overtaken
    asks(scene, DUAL)
    await scene.until_reason("PoolExhausted")
    assert [each.metadata.name for each in scene.addresses()] == [name]
    scene.on_write = lambda _call, _moment: None
    assert scene.addresses(held=False) == []
    scene.api.patch(IP_POOLS, "lab6", {"spec": {"ranges": [{"start": "2001:db8::7", "end": "2001:db8::8"}]}})
    found = await scene.until_ready()
    assert [each.pool for each in found.status.addresses] == ["lab", "lab6"]


async def test_a_fixed_address_is_had_and_written_as_objects_are_named(scene: GuestScene) -> None:
    ipv6(scene)
    asks(scene, {"name": "eth0", "addresses": [{"pool": "lab6", "address": "2001:0DB8::00AA"}]})
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] == ["2001:db8::aa"]


async def test_a_reserved_address_goes_to_its_guest_and_to_no_other(scene: GuestScene) -> None:
    reservation = {"address": "10.7.0.4", "owner": "default/web", "reason": "it was promised"}
    scene.api.patch(
        IP_POOLS,
        "lab",
        {"spec": {"reservations": [reservation], "ranges": [{"start": "10.7.0.4", "end": "10.7.0.5"}]}},
    )
    await scene.seen()
    scene.add_guest("other", number=2)
    assert (await scene.until_ready("other")).status.addresses[0].address == "10.7.0.5"
    scene.add_guest("third", number=3)
    await scene.until_reason("PoolExhausted", "third")
    scene.add_guest()
    assert (await scene.until_ready()).status.addresses[0].address == "10.7.0.4"


async def test_of_pools_with_the_labels_the_first_that_has_an_address_gives_it(scene: GuestScene) -> None:
    for name, cidr in (("a-full", "10.8.0.0/30"), ("b-free", "10.9.0.0/29")):
        made = objects.pool(name, cidr=cidr, gateway=None, exclude=[cidr] if name == "a-full" else [])
        made["metadata"]["labels"] = {"net": "blue"}
        scene.api.create(IP_POOLS, made)
    asks(scene, {"name": "eth0", "addresses": [{"poolSelector": {"matchLabels": {"net": "blue"}}}]})
    found = await scene.until_ready()
    assert [each.pool for each in found.status.addresses] == ["b-free"]


async def test_a_claim_that_a_bound_guest_lost_is_made_again(scene: GuestScene) -> None:
    scene.add_guest()
    found = await scene.until_ready()
    [held] = scene.addresses()
    scene.api.patch(IP_ADDRESSES, held.metadata.name, {"metadata": {"finalizers": None}})
    scene.api.delete(IP_ADDRESSES, held.metadata.name)
    operator = scene.operators[0]
    await eventually(lambda: not operator.subset.claims.by_name)
    for _ in range(2):
        await operator.sweeper.sweep()
    assert scene.addresses() == []
    await operator.sweeper.sweep()
    [again] = scene.addresses()
    assert (again.spec.address, again.spec.owner.id if again.spec.owner else None) == (
        found.status.addresses[0].address,
        guest_id(),
    )
    assert operator.found == [Finding.GUEST_WITHOUT_CLAIM]


async def test_a_changed_pool_takes_nothing_from_who_holds_an_address(scene: GuestScene) -> None:
    scene.add_guest()
    found = await scene.until_ready()
    address = found.status.addresses[0].address
    scene.api.patch(IP_POOLS, "lab", {"spec": {"exclude": [address]}})
    scene.api.patch(GUESTS, "web", {"spec": {"power": "Stopped"}}, namespace="default")
    await scene.until_reason("Stopped")
    scene.api.patch(GUESTS, "web", {"spec": {"power": "Running"}}, namespace="default")
    again = await scene.until_ready()
    assert [each.address for each in again.status.addresses] == [address]
    assert await settled(lambda: [each.spec.address for each in scene.addresses()]) == [address]


async def test_only_the_address_that_another_machine_uses_is_replaced(scene: GuestScene) -> None:
    ipv6(scene)
    host = scene.hosts["a"]
    host.refuses = "AddressInUse"

    def refuses_once(call: Call, moment: str) -> None:
        if moment == "before" and call.matches("create assignments *"):
            host.conflict = next(each.spec.address for each in scene.addresses() if ":" in each.spec.address)
        elif moment == "after" and call.matches("create assignments *"):
            host.refuses = host.conflict = None

    scene.on_write = refuses_once
    asks(scene, DUAL)
    found = await scene.until_ready()
    assert found.status.epoch == 2
    [bad] = scene.addresses(held=False)
    assert ":" in bad.spec.address, "the IPv4 address was never at fault"
    assert len(found.status.addresses) == len(scene.addresses()) == 2


async def test_a_host_that_finds_every_address_in_use_is_left_before_the_pool_is_gone(
    scene: GuestScene,
) -> None:
    scene.hosts["a"].refuses = "AddressInUse"
    scene.add_guest()
    await scene.until_reason("NoHostFits")
    assert await settled(lambda: len(scene.addresses(held=False))) == 3


async def test_while_other_addresses_are_free_a_released_one_rests_its_whole_time(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.delete_guest()
    await scene.until_gone()
    operator, clock = scene.operators[0], scene.clock
    assert isinstance(clock, ManualClock)
    clock.advance(290)
    await operator.sweeper.sweep()
    assert len(scene.addresses(held=False)) == 1
    clock.advance(20)
    await operator.sweeper.sweep()
    await eventually(lambda: not scene.addresses(held=False))


async def test_a_fixed_address_in_use_on_the_wire_waits_and_names_who_has_it(scene: GuestScene) -> None:
    """No other address will do; the guest is tried again once the address no longer rests."""
    host = scene.hosts["a"]
    host.refuses, host.conflict = "AddressInUse", "10.7.0.5"
    asks(scene, {"addresses": [{"pool": "lab", "address": "10.7.0.5"}]})

    def told() -> bool:
        condition = scene.condition("AddressesAssigned")
        assert condition is not None
        assert (condition.status, condition.reason) == ("False", "AddressInUse"), condition
        return "02:00:00:00:00:99" in condition.message

    await eventually(told)
    host.refuses = host.conflict = None
    clock = scene.clock
    assert isinstance(clock, ManualClock)
    for _ in range(3):
        clock.advance(301)
        await scene.operators[0].sweeper.sweep()
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] == ["10.7.0.5"]


def of_interfaces(guest: Guest) -> dict[str, str]:
    return {each.interface: each.address for each in guest.status.addresses}


FIXED = {"name": "eth1", "addresses": [{"pool": "lab", "address": "10.7.0.2"}]}


@pytest.mark.parametrize(
    "interfaces", [[{"name": "eth0", "pool": "lab"}, FIXED], [FIXED, {"name": "eth0", "pool": "lab"}]]
)
async def test_two_interfaces_never_get_one_address(scene: GuestScene, interfaces: list[Document]) -> None:
    """The one that asks for a certain address has it; the pool gives its lowest one, which is that very address."""
    scene.api.patch(IP_POOLS, "lab", {"spec": {"order": "Lowest"}})
    await scene.seen()
    asks(scene, *interfaces)
    found = await scene.until_ready()
    assert of_interfaces(found) == {"eth0": "10.7.0.3", "eth1": "10.7.0.2"}
    assert [each.interface for each in found.status.addresses] == [each["name"] for each in interfaces]
    owners = {each.spec.address: each.spec.owner.interface for each in scene.addresses() if each.spec.owner}
    assert owners == {"10.7.0.3": "eth0", "10.7.0.2": "eth1"}


async def test_one_address_asked_for_twice_in_one_guest_is_told(scene: GuestScene) -> None:
    """CEL refuses such a Guest; one from before that rule waits."""
    asks(scene, {**FIXED, "name": "eth0"}, FIXED)
    told = await scene.until_reason("AddressTaken")
    assert "both eth0 and eth1" in told.message
    assert scene.addresses() == []


MADE_MAC = names.mac_of(guest_id(), "eth0")


@pytest.mark.parametrize("macs", [("02:00:00:00:00:07", "02:00:00:00:00:07"), (None, MADE_MAC)], ids=str)
async def test_one_mac_for_two_interfaces_is_told(scene: GuestScene, macs: tuple[str | None, str]) -> None:
    """CEL refuses what it sees; the MAC of an interface that names none follows from the Guest ID."""
    mac = {} if macs[0] is None else {"mac": macs[0]}
    asks(scene, {"name": "eth0", "pool": "lab", **mac}, {"name": "eth1", "pool": "lab", "mac": macs[1]})
    told = await scene.until_reason("MacInUse")
    assert f"eth0 and eth1 have the same MAC {macs[1]}" in told.message
    assert scene.condition("Stalled") is not None
    assert (scene.addresses(), scene.assignments()) == ([], [])


def promised(scene: GuestScene, last: int) -> None:
    reservation = {"address": f"10.7.0.{last}", "owner": "default/web", "reason": "it was promised"}
    scene.api.patch(IP_POOLS, "lab", {"spec": {"reservations": [reservation]}})


async def test_a_guest_that_is_made_again_waits_while_its_reserved_address_rests(scene: GuestScene) -> None:
    promised(scene, 4)
    await scene.seen()
    scene.add_guest()
    await scene.until_ready()
    scene.delete_guest()
    await scene.until_gone()
    scene.add_guest(number=2)
    told = await scene.until_reason("AddressTaken")
    assert told.message == "10.7.0.4, reserved for this guest, still rests"
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(301)
    await scene.operators[0].sweeper.sweep()
    assert (await scene.until_ready()).status.addresses[0].address == "10.7.0.4"


async def test_a_reserved_address_that_a_machine_used_is_tried_again_where_the_rest_is_given(
    scene: GuestScene,
) -> None:
    """Another guest stands before this one in the line of the pool; the reserved address is not for that one."""
    one = {"ranges": [{"start": "10.7.0.5", "end": "10.7.0.5"}]}
    scene.api.patch(IP_POOLS, "lab", {"spec": one})
    promised(scene, 4)
    await scene.seen()
    scene.add_guest("holder", number=2)
    await scene.until_ready("holder")
    scene.add_guest("before", number=3, spec={"priority": 9})
    await scene.until_reason("PoolExhausted", "before")
    host = scene.hosts["a"]
    host.refuses, host.conflict = "AddressInUse", "10.7.0.4"
    scene.add_guest()
    await scene.until_reason("PoolExhausted")
    host.refuses = host.conflict = None
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(301)
    await scene.operators[0].sweeper.sweep()
    assert (await scene.until_ready()).status.addresses[0].address == "10.7.0.4"


async def test_a_guest_waits_for_who_holds_the_address_that_is_reserved_for_it(scene: GuestScene) -> None:
    asks(scene, {"addresses": [{"pool": "lab", "address": "10.7.0.4"}]}, name="early", number=2)
    await scene.until_ready("early")
    promised(scene, 4)
    pools = scene.operators[0].subset.pools
    await eventually(lambda: pools["lab"].spec.reservations)
    asks(scene, {"name": "eth0", "pool": "lab"}, {"name": "eth1", "pool": "lab"})
    told = await scene.until_reason("AddressTaken")
    assert told.message == "10.7.0.4, reserved for this guest, is held by the Guest default/early"
    scene.api.patch(IP_POOLS, "lab", {"spec": {"reservations": []}})
    await scene.until_ready()


async def test_a_reserved_address_that_a_machine_uses_is_not_waited_for(scene: GuestScene) -> None:
    """A machine answers for it, and one for the next address: the guest gets the third while both rest."""
    scene.api.patch(IP_POOLS, "lab", {"spec": {"order": "Lowest"}})
    promised(scene, 4)
    pools = scene.operators[0].subset.pools
    await eventually(lambda: pools["lab"].spec.reservations)
    host = scene.hosts["a"]

    def refuses_two(call: Call, moment: str) -> None:
        if moment == "before" and (call.matches("create assignments") or call.matches("patch assignments")):
            is_enough = len(scene.addresses(held=False)) == 2
            host.refuses = None if is_enough else "AddressInUse"
            host.conflict = None if is_enough else scene.addresses()[0].spec.address

    scene.on_write = refuses_two
    scene.add_guest()
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] == ["10.7.0.3"]
    assert {each.spec.address for each in scene.addresses(held=False)} == {"10.7.0.4", "10.7.0.2"}
