"""Pools that labels choose, and MACs that are in use somewhere: a guest goes where there is room and it may have both."""

from typing import Any

import pytest

from innkeeper.kube.resources import GUESTS, HOSTS, IP_ADDRESSES, IP_POOLS
from innkeeper.views.guest import Guest
from innkeeper.workers.explaining import Explained, Explainer
from innkeeper.workers.sweeper import SIGHTINGS
from tests.kit import objects
from tests.kit.fake_api import Call
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE, Document
from tests.kit.waiting import eventually

PUBLIC: Document = {"name": "eth0", "addresses": [{"poolSelector": {"matchLabels": {"net": "public"}}}]}
MAC = "02:00:00:00:00:77"


@pytest.fixture
async def scene(scene: GuestScene) -> GuestScene:
    """Add a pool and a host for each of the clusters `one` and `two`; the pool of `one` is first by name."""
    for number, cluster in enumerate(("one", "two"), start=1):
        made = objects.pool(
            f"{cluster}-public", cidr=f"10.{20 + number}.0.0/29", gateway=None, clusters=[cluster]
        )
        made["metadata"]["labels"] = {"net": "public"}
        scene.api.create(IP_POOLS, made)
        scene.add_host(f"in-{cluster}", cluster=cluster, store_id=f"store-{cluster}")
    scene.api.patch(HOSTS, "a", {"spec": {"unschedulable": True}})
    subset = scene.operators[0].subset
    await eventually(lambda: len(subset.hosts) == 3 and subset.hosts["a"].spec.unschedulable)
    return scene


def close(scene: GuestScene, host: str, *, closed: bool = True) -> None:
    scene.api.patch(HOSTS, host, {"spec": {"maintenance": closed}})


async def knows_closed(scene: GuestScene, *hosts: str) -> None:
    known = scene.operators[0].subset.hosts
    await eventually(lambda: all(known[each].spec.maintenance for each in hosts))


def asks(scene: GuestScene, name: str = "web", *, number: int = 1, **spec: Any) -> None:
    scene.add_guest(name, number=number, spec={"interfaces": [PUBLIC], **spec})


async def explained(scene: GuestScene, name: str = "web") -> Explained:
    subset = scene.operators[0].subset
    explainer = Explainer(subset, scene.clock)
    return await explainer.explain(subset.guests[NAMESPACE, name], hosts=list(subset.hosts))


async def explained_before(scene: GuestScene) -> Explained:
    """Explain a guest that asks for the labels and is not there yet."""
    subset = scene.operators[0].subset
    guest = objects.view(objects.guest("next", number=99, spec={"interfaces": [PUBLIC]}), Guest)
    return await Explainer(subset, scene.clock).explain(guest, hosts=list(subset.hosts))


def failures(found: Explained) -> dict[str, list[str]]:
    return {each.host: [failure.reason for failure in each.failures] for each in found.verdicts}


async def until_at(scene: GuestScene, host: str, pool: str, name: str = "web") -> None:
    found = await scene.until_ready(name)
    assert (found.status.host, [each.pool for each in found.status.addresses]) == (host, [pool])


async def test_only_pools_of_the_cluster_that_is_asked_for_are_chosen(scene: GuestScene) -> None:
    asks(scene, placement={"cluster": "two"})
    await until_at(scene, "in-two", "two-public")


async def test_a_cluster_without_a_pool_is_told_of_until_one_serves_it(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "two-public", {"metadata": {"labels": {"net": "other"}}})
    known = scene.operators[0].subset.pools
    await eventually(lambda: known["two-public"].metadata.labels == {"net": "other"})
    asks(scene, placement={"cluster": "two"})
    told = await scene.until_reason("PoolNotServingCluster")
    assert told.message == "no IPPool with the labels that 'eth0' asks for serves the cluster 'two'"
    scene.api.patch(IP_POOLS, "two-public", {"metadata": {"labels": {"net": "public"}}})
    await until_at(scene, "in-two", "two-public")


async def test_the_first_pool_by_name_is_taken_while_its_cluster_has_room(scene: GuestScene) -> None:
    for number in range(1, 5):
        asks(scene, f"g{number}", number=number)
        await until_at(scene, "in-one", "one-public", f"g{number}")


async def test_a_pool_whose_cluster_has_no_room_is_passed_by(scene: GuestScene) -> None:
    close(scene, "in-one")
    await knows_closed(scene, "in-one")
    asks(scene)
    await until_at(scene, "in-two", "two-public")
    assert (await explained(scene)).chosen == "in-two"
    found = await explained_before(scene)
    assert (found.chosen, found.message) == ("in-two", "1 of 3 hosts fit")
    assert failures(found) == {
        "a": ["PoolNotServing", "Unschedulable"],
        "in-one": ["Maintenance"],
        "in-two": [],
    }


async def test_hosts_that_another_pool_serves_are_told_to_fit(scene: GuestScene) -> None:
    found = await explained_before(scene)
    assert (found.chosen, found.message) == ("in-one", "2 of 3 hosts fit")
    assert failures(found) == {"a": ["PoolNotServing", "Unschedulable"], "in-one": [], "in-two": []}


@pytest.mark.parametrize("opens", ["one", "two"])
async def test_a_guest_waits_for_room_in_each_cluster_of_its_pools(scene: GuestScene, opens: str) -> None:
    close(scene, "in-one")
    close(scene, "in-two")
    await knows_closed(scene, "in-one", "in-two")
    asks(scene)
    told = await scene.until_reason("NoHostFits")
    assert "2 are in maintenance" in told.message, "both are told of"
    assert (await explained(scene)).message == told.message
    close(scene, f"in-{opens}", closed=False)
    await until_at(scene, f"in-{opens}", f"{opens}-public")


async def test_a_guest_waits_for_an_address_where_there_is_room_too(scene: GuestScene) -> None:
    for last in range(1, 7):
        taken = objects.address(last, owner="somebody", pool="one-public")
        taken["metadata"]["name"] = f"default.10-21-0-{last}"
        taken["spec"]["address"] = f"10.21.0.{last}"
        scene.api.create(IP_ADDRESSES, taken)
    close(scene, "in-two")
    await knows_closed(scene, "in-two")
    await eventually(lambda: len(scene.operators[0].subset.claims.by_name) == 6)
    asks(scene)
    await scene.until_reason("NoHostFits")
    scene.api.patch(IP_ADDRESSES, "default.10-21-0-4", {"metadata": {"finalizers": None}})
    scene.api.delete(IP_ADDRESSES, "default.10-21-0-4")
    await until_at(scene, "in-one", "one-public")


async def test_an_address_that_was_claimed_for_a_way_that_was_left_is_released(scene: GuestScene) -> None:
    close(scene, "in-one")
    claimed = objects.address(2, pool="one-public")
    claimed["metadata"]["name"] = "default.10-21-0-2"
    claimed["spec"]["address"] = "10.21.0.2"
    scene.api.create(IP_ADDRESSES, claimed)
    await knows_closed(scene, "in-one")
    operator = scene.operators[0]
    await eventually(lambda: operator.subset.claims.by_name)
    asks(scene)
    await until_at(scene, "in-two", "two-public")
    for _ in range(SIGHTINGS):
        await operator.sweeper.sweep()
    assert [each.spec.address for each in scene.addresses(held=False)] == ["10.21.0.2"]


async def test_a_wish_that_only_the_second_pool_of_another_one_leaves_open_is_met(scene: GuestScene) -> None:
    other = objects.pool("two-storage", cidr="10.30.0.0/29", gateway=None, clusters=["two"])
    other["metadata"]["labels"] = {"net": "storage"}
    scene.api.create(IP_POOLS, other)
    await eventually(lambda: "two-storage" in scene.operators[0].subset.pools)
    storage = {"name": "eth1", "addresses": [{"poolSelector": {"matchLabels": {"net": "storage"}}}]}
    asks(scene, interfaces=[PUBLIC, storage])
    found = await scene.until_ready()
    assert [each.pool for each in found.status.addresses] == ["two-public", "two-storage"]


async def test_a_wish_by_labels_that_took_what_a_named_pool_has_left_waits_for_other_pools(
    scene: GuestScene,
) -> None:
    asked = [
        {"name": "eth0", "addresses": [{"poolSelector": {"matchLabels": {"net": "few"}}}]},
        {"name": "eth1", "pool": "few"},
    ]
    few = objects.pool("few", cidr="10.30.0.0/30", gateway=None, exclude=["10.30.0.2"])
    other = objects.pool("other", cidr="10.31.0.0/30", gateway=None)
    for each in (few, other):
        each["metadata"]["labels"] = {"net": "few"}
    scene.api.create(IP_POOLS, few)
    await scene.seen()
    asks(scene, interfaces=asked)
    await scene.until_reason("PoolExhausted")
    scene.api.create(IP_POOLS, other)
    found = await scene.until_ready()
    assert [each.pool for each in found.status.addresses] == ["other", "few"]


async def test_a_hard_spread_counts_every_cluster_that_some_pool_serves(scene: GuestScene) -> None:
    close(scene, "in-two")
    await knows_closed(scene, "in-two")
    term = {"selector": {"matchLabels": {"app": "web"}}, "topologyKey": "innkeeper.dev/cluster"}
    spread = {"spread": [{**term, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]}
    for number in (1, 2):
        guest = objects.guest(f"g{number}", number=number, spec={"interfaces": [PUBLIC], "placement": spread})
        guest["metadata"]["labels"] = {"app": "web"}
        scene.api.create(GUESTS, guest, namespace=NAMESPACE)
        if number == 1:
            await until_at(scene, "in-one", "one-public", "g1")
    await scene.until_reason("NoHostFits", "g2")
    close(scene, "in-two", closed=False)
    await until_at(scene, "in-two", "two-public", "g2")


def labelled(scene: GuestScene, name: str, net: str, **spec: Any) -> None:
    """Make a pool with a label, or change that of one."""
    made = objects.pool(name, gateway=None, dns=[], clusters=["one"], **spec)
    made["metadata"]["labels"] = {"net": net}
    if scene.api.get(IP_POOLS, name) is None:
        scene.api.create(IP_POOLS, made)
    else:
        scene.api.patch(IP_POOLS, name, {"metadata": {"labels": {"net": net}}})


def by_labels(*nets: str) -> Document:
    return {
        "name": "eth0",
        "addresses": [{"poolSelector": {"matchLabels": {"net": each}}} for each in nets],
    }


async def refused(scene: GuestScene, *nets: str) -> list[str]:
    """Have a guest refused by the one host of its cluster; return the addresses that it keeps."""
    scene.hosts["in-one"].refuses = "InsufficientCapacity"
    scene.add_guest(spec={"interfaces": [by_labels(*nets)]})
    await scene.until_reason("NoHostFits")
    found = scene.guest()
    assert found is not None
    return [each.address for each in found.status.addresses]


@pytest.mark.parametrize("has_another", [True, False])
async def test_a_guest_that_is_placed_again_keeps_its_address_though_its_pool_has_other_labels_now(
    scene: GuestScene, *, has_another: bool
) -> None:
    before = await refused(scene, "public")
    if has_another:
        labelled(scene, "another", "public", cidr="10.30.0.0/29")
    labelled(scene, "one-public", "old")
    await scene.seen()
    scene.add_host("also-one", cluster="one", store_id="store-also")
    await until_at(scene, "also-one", "one-public")
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] == before
    asks(scene, "next", number=2)
    await until_at(
        scene, *(("also-one", "another") if has_another else ("in-two", "two-public")), name="next"
    )


@pytest.mark.parametrize(
    "relabelled", [["z-four"], ["a-six"], ["z-four", "a-six"]], ids=["IPv4", "IPv6", "both"]
)
async def test_both_families_of_an_interface_stay_as_they_are_though_their_pools_have_other_labels_now(
    scene: GuestScene, relabelled: list[str]
) -> None:
    labelled(scene, "z-four", "four", cidr="10.30.0.0/29")
    labelled(scene, "a-six", "six", cidr="2001:db8::/64", ranges=[])
    before = await refused(scene, "four", "six")
    labelled(scene, "b-four", "four", cidr="10.31.0.0/29")
    labelled(scene, "b-six", "six", cidr="2001:db8:1::/64", ranges=[])
    for each in relabelled:
        labelled(scene, each, "old")
    await scene.seen()
    scene.add_host("also-one", cluster="one", store_id="store-also")
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] == before


async def test_a_pool_that_one_wish_of_an_interface_chose_is_no_other_wishs(scene: GuestScene) -> None:
    """The IPv4 address is in use: its wish takes no place of the other one, whose labels IPv4 pools have as well."""
    labelled(scene, "x-four", "x", cidr="10.30.0.0/29")
    labelled(scene, "z-four", "y", cidr="10.31.0.0/29")
    labelled(scene, "y-six", "y", cidr="2001:db8::/64", ranges=[])
    host = scene.hosts["in-one"]

    def refuses_once(call: Call, moment: str) -> None:
        if moment == "before" and call.matches("create assignments *"):
            host.refuses = "AddressInUse"
            host.conflict = next(each.spec.address for each in scene.addresses() if "." in each.spec.address)
        elif moment == "after" and call.matches("create assignments *"):
            host.refuses = None

    scene.on_write = refuses_once
    scene.add_guest(spec={"interfaces": [by_labels("x", "y")]})
    found = await scene.until_ready()
    assert (found.status.epoch, len(scene.addresses(held=False))) == (2, 1)
    assert [each.pool for each in found.status.addresses] == ["x-four", "y-six"]


def with_mac(scene: GuestScene, name: str, *, number: int, **spec: Any) -> None:
    interface = {"name": "eth0", "pool": "lab", "mac": MAC}
    scene.add_guest(name, number=number, spec={"interfaces": [interface], **spec})


async def test_a_guest_whose_mac_is_in_use_in_one_cluster_goes_to_another(scene: GuestScene) -> None:
    with_mac(scene, "first", number=1)
    first = await scene.until_ready("first")
    with_mac(scene, "second", number=2)
    second = await scene.until_ready("second")
    assert {first.status.host, second.status.host} == {"in-one", "in-two"}
    assert (await explained(scene, "second")).chosen == second.status.host


async def test_a_guest_whose_mac_is_in_use_waits_for_it_and_for_room_elsewhere(scene: GuestScene) -> None:
    close(scene, "in-two")
    await knows_closed(scene, "in-two")
    for number, name in enumerate(("first", "second", "third"), start=1):
        with_mac(scene, name, number=number)
        if name == "first":
            await scene.until_ready("first")
        else:
            told = await scene.until_reason("MacInUse", name)
            assert "belongs to the Guest default/first in the cluster 'one'" in told.message
            assert (await explained(scene, name)).blocked.message == told.message
    close(scene, "in-two", closed=False)

    def bound() -> list[str]:
        found = (scene.guest(each) for each in ("second", "third"))
        return [each.metadata.name for each in found if each is not None and each.status.host == "in-two"]

    await eventually(lambda: len(bound()) == 1)
    [left] = {"second", "third"} - set(bound())
    scene.delete_guest("first")
    await until_at(scene, "in-one", "lab", left)
