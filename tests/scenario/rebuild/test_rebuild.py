"""An API server that lost everything gets back what hosts hold: once, unchanged, and nothing that was destroyed."""

import msgspec
import pytest

from innkeeper.domain import names
from innkeeper.domain.rebuild.findings import FindingKind
from innkeeper.kube.client import Client
from innkeeper.kube.resources import (
    ASSIGNMENTS,
    CLUSTERS,
    FLAVORS,
    GUESTS,
    HOSTS,
    IP_ADDRESSES,
    IP_POOLS,
    NAMESPACES,
)
from innkeeper.views.host import HostScheduling
from innkeeper.views.network import IPAddress
from innkeeper.views.placement import Taint
from innkeeper.workers.rebuild.hearing import TRIES
from tests.kit.agent_orders import guest_id
from tests.kit.host_stores import SETTINGS
from tests.kit.objects import pool, view
from tests.scenario.rebuild.conftest import USER, Scene, kinds


async def test_everything_that_hosts_hold_is_made_once(scene: Scene) -> None:
    scene.furnish(hosts=3, guests=10)
    outcome = await scene.run()
    assert (outcome.heard, outcome.guests, outcome.findings) == (3, 10, [])
    scene.assert_as_hosts_hold()
    assert [each["spec"]["network"] for each in scene.api.objects(CLUSTERS)] == [{"bridge": "br0"}]
    assert {each["metadata"]["name"]: each["spec"]["cluster"] for each in scene.api.objects(HOSTS)} == {
        "h0": "lab",
        "h1": "lab",
        "h2": "lab",
    }
    assert outcome.absent_pools == ["lab"]
    account = scene.api.get(NAMESPACES, "guests")
    assert account is not None
    assert account["metadata"]["labels"] == {names.REBUILT_LABEL: "true"}


async def test_run_again_it_changes_nothing(scene: Scene) -> None:
    scene.furnish()
    await scene.run()
    scene.api.calls.clear()
    outcome = await scene.run()
    assert scene.api.writes() == []
    assert not outcome.missing
    assert not outcome.made


async def test_what_exists_wins(scene: Scene) -> None:
    scene.furnish(guests=2)
    scene.api.create(
        CLUSTERS, {"metadata": {"name": "lab"}, "spec": {"network": {"bridge": "of-the-pipeline"}}}
    )
    scene.api.create(HOSTS, {"metadata": {"name": "h0"}, "spec": {"cluster": "lab", "unschedulable": True}})
    scene.api.create(IP_POOLS, pool())
    outcome = await scene.run()
    scene.assert_as_hosts_hold()
    [cluster] = scene.api.objects(CLUSTERS)
    assert cluster["spec"]["network"] == {"bridge": "of-the-pipeline"}
    host = scene.api.get(HOSTS, "h0")
    assert host is not None
    assert host["spec"]["unschedulable"]
    assert outcome.absent_pools == []


async def test_flavors_that_guests_name_are_made_of_what_they_got(scene: Scene) -> None:
    host = scene.host("a")
    host.hold(host.order(spec={"flavor": "small", "resources": None}))
    await scene.run()
    assert [each["spec"] for each in scene.api.objects(FLAVORS)] == [
        {"cpu": "1", "memory": "1Gi", "disk": "4Gi"}
    ]


async def test_pages_are_read_to_the_last(scene: Scene) -> None:
    scene.furnish(hosts=1, guests=7)
    scene.hosts["h0"].page = 2
    await scene.run()
    scene.assert_as_hosts_hold()


async def test_nothing_is_written_while_a_host_is_not_heard(scene: Scene) -> None:
    scene.furnish()
    scene.hosts["h1"].failures = TRIES
    outcome = await scene.run()
    assert list(outcome.unheard) == ["h1"]
    assert scene.api.writes() == []
    outcome = await scene.run()
    assert outcome.is_complete
    scene.assert_as_hosts_hold()


async def test_a_host_that_stumbles_is_asked_again(scene: Scene) -> None:
    scene.furnish()
    scene.hosts["h1"].failures = TRIES - 1
    assert (await scene.run()).is_complete
    scene.assert_as_hosts_hold()


async def test_without_a_lost_host_the_others_guests_are_made(scene: Scene) -> None:
    scene.furnish()
    lost = scene.hosts.pop("h1")
    lost.failures = 10**6
    await scene.run(hosts=["h0"])
    scene.assert_as_hosts_hold()
    assert lost.asked == 0


async def test_of_two_hosts_that_claim_a_guest_the_later_order_is_bound(scene: Scene) -> None:
    a, b = scene.host("a"), scene.host("b")
    a.hold(a.order(epoch=1, serial=5))
    text = b.hold(b.order(epoch=2))
    outcome = await scene.run()
    assert kinds(outcome) == [FindingKind.SUPERSEDED]
    [assignment] = scene.assignments().values()
    assert (assignment.metadata.namespace, assignment.spec.order) == ("host-b", text)
    assert scene.guests()[guest_id()].status.host == "b"


@pytest.mark.parametrize(("former", "present"), [("a", "b"), ("b", "a")])
async def test_a_guest_that_moved_is_bound_where_it_lives_and_not_where_its_disk_was_left(
    scene: Scene, former: str, present: str
) -> None:
    old, new = scene.host(former), scene.host(present)
    old.leave(old.order(epoch=2))
    text = new.hold(new.order(epoch=2))
    outcome = await scene.run()
    assert kinds(outcome) == [FindingKind.SUPERSEDED]
    orders = {each["metadata"]["namespace"]: each["spec"] for each in scene.api.objects(ASSIGNMENTS)}
    assert orders[f"host-{present}"]["order"] == text
    assert orders[f"host-{former}"]["order"] == old.guests[guest_id()].order, (
        "a deletion reaches it there too"
    )
    bound = scene.guests()[guest_id()]
    assert bound.status.host == present
    assert bound.metadata.annotations[names.REVIVED_FROM_ANNOTATION] == present
    assert list(scene.addresses().values()) == [guest_id()]
    scene.api.calls.clear()
    assert not (await scene.run()).made
    assert scene.api.writes() == []


async def test_an_end_under_way_keeps_its_addresses_and_its_order(scene: Scene) -> None:
    host = scene.host("a")
    text = host.hold(host.order(epoch=2, serial=3, desired="Destroyed", image=None))
    outcome = await scene.run()
    assert kinds(outcome) == [FindingKind.ENDING]
    assert outcome.missing["Assignment"] == outcome.made["Assignment"] == 1
    assert scene.guests() == {}
    assert list(scene.addresses().values()) == [guest_id()]
    [assignment] = scene.assignments().values()
    assert (assignment.spec.desired, assignment.spec.order) == ("Destroyed", text)
    scene.api.calls.clear()
    again = await scene.run()
    assert scene.api.writes() == []
    assert not again.missing


async def test_no_object_in_the_way_leaves_an_address_in_use_to_others(scene: Scene) -> None:
    host = scene.host("a")
    for number in (1, 2):
        host.hold(host.order(number))
    scene.api.faults.fail("create guests", status=403)
    outcome = await scene.run()
    assert kinds(outcome) == [FindingKind.NOT_REVIVED]
    assert sorted(scene.addresses().values()) == [guest_id(1), guest_id(2)]
    assert outcome.is_complete


async def test_an_address_is_kept_for_its_host_until_the_guest_has_its_objects_again(scene: Scene) -> None:
    scene.furnish(hosts=2, guests=2)
    scene.api.faults.fail("create guests", status=403, times=2)
    assert kinds(await scene.run()) == [FindingKind.NOT_REVIVED] * 2
    assert kept_for(scene) == {"10.0.0.11": "h1", "10.0.0.12": "h0"}
    foreign = {"metadata": {"annotations": {names.HELD_BY_HOST_ANNOTATION: "gone"}}}
    scene.api.patch(IP_ADDRESSES, names.address_name("default", "10.0.0.12"), foreign)
    assert (await scene.run()).findings == []
    scene.assert_as_hosts_hold()
    assert kept_for(scene) == {"10.0.0.12": "gone"}, "another host may use it, too"


def kept_for(scene: Scene) -> dict[str, str]:
    """Return for which host each address is kept."""
    found = (view(each, IPAddress) for each in scene.api.objects(IP_ADDRESSES))
    marks = {each.spec.address: each.metadata.annotations for each in found}
    mark = names.HELD_BY_HOST_ANNOTATION
    return {address: each[mark] for address, each in marks.items() if mark in each}


async def test_each_address_is_asked_for_once(scene: Scene) -> None:
    scene.furnish(hosts=2, guests=5)
    await scene.run()
    assert len(scene.api.called("create ipaddresses")) == 5
    assert scene.api.called("get ipaddresses *") == []


async def test_addresses_in_use_are_claimed_before_anything_is_made(scene: Scene) -> None:
    scene.furnish(hosts=2, guests=3)
    await scene.run()
    kinds_made = [call.resource for call in scene.api.writes()]
    assert kinds_made[:3] == ["ipaddresses"] * 3
    assert "ipaddresses" not in kinds_made[3:]


async def test_a_host_without_settings_keeps_the_addresses_that_it_uses(scene: Scene) -> None:
    host = scene.host("a")
    host.settings = None
    host.hold(host.order())
    outcome = await scene.run()
    assert FindingKind.NOT_REVIVED in kinds(outcome)
    assert list(scene.addresses().values()) == [guest_id()]


async def test_of_a_disk_that_was_left_alone_nothing_is_made(scene: Scene) -> None:
    host = scene.host("a")
    host.leave(host.order(epoch=2))
    outcome = await scene.run()
    assert kinds(outcome) == [FindingKind.HOLDER_UNKNOWN]
    assert outcome.failures == []
    assert (scene.guests(), scene.assignments(), scene.addresses()) == ({}, {}, {})


async def test_a_destroyed_guest_does_not_come_back(scene: Scene) -> None:
    a, b = scene.host("a"), scene.host("b")
    a.bury(a.order(epoch=2))
    b.hold(b.order(epoch=1))
    outcome = await scene.run()
    assert kinds(outcome) == [FindingKind.DESTROYED]
    assert scene.guests() == {}
    assert scene.addresses() == {}


@pytest.mark.parametrize("heard", [("a", "b"), ("a",)])
async def test_a_disk_that_was_left_and_removed_since_ends_no_guest_that_lives_elsewhere(
    scene: Scene, heard: tuple[str, ...]
) -> None:
    a, b = scene.host("a"), scene.host("b")
    b.hold(b.order(epoch=2))
    await scene.run()
    a.bury(a.order(epoch=2))  # as high as the order by which the guest lives
    scene.api.calls.clear()
    outcome = await scene.run(hosts=heard)
    assert scene.api.writes() == []
    assert not outcome.missing
    assert list(scene.addresses().values()) == [guest_id()]


async def test_a_guest_that_a_pipeline_applied_meanwhile_becomes_the_one_that_runs(scene: Scene) -> None:
    host = scene.host("a")
    order = host.order()
    host.hold(order)
    body = {
        "metadata": {"name": order.name, "namespace": order.namespace},
        "spec": {**msgspec.to_builtins(order.spec), "power": "Stopped"},
    }
    scene.api.create(NAMESPACES, {"metadata": {"name": order.namespace}})
    scene.api.create(GUESTS, body, namespace=order.namespace)
    outcome = await scene.run()
    assert outcome.findings == []
    scene.assert_as_hosts_hold()
    assert scene.guests()[guest_id()].spec.power == "Stopped"


async def test_another_guest_of_that_name_is_left_alone_and_told_of(scene: Scene) -> None:
    host = scene.host("a")
    order = host.order()
    host.hold(order)
    host.hold(host.order(2))
    scene.api.create(NAMESPACES, {"metadata": {"name": order.namespace}})
    body = {
        "metadata": {"name": order.name, "namespace": order.namespace},
        "spec": {**msgspec.to_builtins(order.spec), "image": {"name": "another"}},
    }
    before = scene.api.create(GUESTS, body, namespace=order.namespace)
    outcome = await scene.run()
    assert kinds(outcome) == [FindingKind.NOT_REVIVED]
    assert scene.api.get(GUESTS, order.name, namespace=order.namespace) == before
    assert set(scene.assignments()) == {guest_id(2)}


async def test_an_object_that_is_refused_stops_no_other(scene: Scene) -> None:
    scene.furnish(guests=4)
    scene.api.faults.fail("create clusters", status=422)
    scene.api.faults.fail("create guests", status=422)
    outcome = await scene.run()
    assert sorted(kinds(outcome)) == [FindingKind.NOT_MADE, FindingKind.NOT_REVIVED]
    assert len(scene.guests()) == 3
    await scene.run()
    scene.assert_as_hosts_hold()


async def test_lost_answers_and_a_tired_api_server_change_nothing(scene: Scene) -> None:
    scene.furnish(guests=8)
    for pattern in ("create guests", "update guests/status", "create ipaddresses", "create assignments"):
        scene.api.faults.fail(pattern, status=503, times=2)
        scene.api.faults.cut(pattern, times=2, after=True)
    outcome = await scene.run()
    assert outcome.findings == []
    scene.assert_as_hosts_hold()
    assert len(scene.api.objects(IP_ADDRESSES)) == 8


async def test_a_look_writes_nothing_and_says_what_is_missing(scene: Scene) -> None:
    scene.furnish(hosts=2, guests=6)
    async with Client(scene.api.credentials(USER)) as client:
        found = await scene.rebuild(client).look(scene.hosts)
    assert scene.api.writes() == []
    assert found.outcome.missing == {"Namespace": 3, "Cluster": 1, "Host": 2, "Guest": 6}


@pytest.mark.parametrize("space", ["default"])
async def test_an_order_that_names_no_pool_finds_it_by_the_address(scene: Scene, space: str) -> None:
    host = scene.host("a")
    order = host.order()
    old = [msgspec.structs.replace(each, space="", pool="") for each in order.addresses]
    host.hold(msgspec.structs.replace(order, addresses=old))
    outcome = await scene.run()
    assert kinds(outcome) == [FindingKind.NOT_CLAIMED]
    assert not outcome.is_complete, "nobody knows what else would be given"
    scene.api.create(IP_POOLS, pool("of-old", cidr="10.0.0.0/24", gateway="10.0.0.1", addressSpace=space))
    await scene.run()
    [bound] = scene.guests()[guest_id()].status.addresses
    assert bound.pool == "of-old"


async def test_a_host_in_maintenance_comes_back_in_maintenance(scene: Scene) -> None:
    taint = {"key": "gpu", "effect": "NoSchedule"}
    said = HostScheduling(maintenance=True, taints=[Taint(**taint)], labels={"zone": "a"})
    scene.host("a").settings = msgspec.structs.replace(SETTINGS, scheduling=said)
    outcome = await scene.run()
    assert outcome.findings == []
    [host] = scene.api.objects(HOSTS)
    assert host["metadata"]["labels"] == {"zone": "a"}
    assert host["spec"]["maintenance"] is True
    assert host["spec"]["taints"] == [taint]


async def test_a_host_whose_agent_is_of_before_takes_no_new_guests_until_somebody_looked(
    scene: Scene,
) -> None:
    scene.host("a").settings = msgspec.structs.replace(SETTINGS, scheduling=None)
    outcome = await scene.run()
    assert kinds(outcome) == [FindingKind.SCHEDULING_UNKNOWN]
    assert outcome.failures == [], "all that hosts hold is there"
    [host] = scene.api.objects(HOSTS)
    assert host["spec"]["unschedulable"] is True
    scene.api.patch(HOSTS, "a", {"spec": {"unschedulable": False}})
    again = await scene.run()
    assert (again.findings, dict(again.made)) == ([], {}), "what exists is left as it is"
