"""A host that refuses is left: the epoch rises, the guest goes back to the scheduler, and nothing is held twice."""

from innkeeper.domain.names import mac_of
from innkeeper.kube.resources import HOSTS, IP_POOLS
from innkeeper.workers.explaining import Explainer
from innkeeper.workers.scheduler import AVOIDED_FOR_S
from tests.kit.clock import ManualClock
from tests.kit.fake_api import Call
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE, guest_id
from tests.kit.waiting import eventually, settled


async def test_a_refused_guest_runs_elsewhere_with_the_same_address(scene: GuestScene) -> None:
    scene.hosts["a"].refuses = "InsufficientCapacity"
    scene.add_guest()
    ready = await scene.until_reason("NoHostFits")
    assert "1 refused it lately" in ready.message
    [held] = scene.addresses()
    found = scene.guest()
    assert found is not None
    assert (found.status.host, found.status.epoch) == (None, 2)
    scene.add_host("b", store_id="store-b")
    found = await scene.until_ready()
    assert (found.status.host, found.status.epoch) == ("b", 2)
    assert [each.address for each in found.status.addresses] == [held.spec.address]
    await eventually(lambda: [each.metadata.namespace for each in scene.assignments()] == ["host-b"])
    assert scene.hosts["a"].running == {}
    promises = scene.operators[0].subset.promises
    assert (promises.count("a"), promises.count("b")) == (0, 1)


async def test_a_guest_that_waits_says_why_hosts_refused_it(scene: GuestScene) -> None:
    """The host's whole message is told by an Event."""
    scene.add_host("b", store_id="store-b")
    scene.hosts["a"].refuses = scene.hosts["b"].refuses = "NetworkFailed"
    scene.add_guest()

    def told() -> bool:
        ready = scene.condition("Ready")
        assert ready is not None
        return ready.message.endswith("2 refused it lately; refused with NetworkFailed")

    await eventually(told)


async def test_a_refused_guest_stays_in_the_cluster_of_its_address(scene: GuestScene) -> None:
    scene.hosts["a"].refuses = "InsufficientCapacity"
    scene.add_guest()
    await scene.until_reason("NoHostFits")
    scene.add_host("far", cluster="other", store_id="store-far")

    subset = scene.operators[0].subset
    await eventually(lambda: "far" in subset.hosts)
    explainer = Explainer(subset, scene.clock)
    explained = await explainer.explain(subset.guests[NAMESPACE, "web"], hosts=["far"])
    [far] = explained.verdicts
    assert "PoolNotServing" in [each.reason for each in far.failures]
    assert scene.condition("Ready").reason == "NoHostFits"


async def test_an_address_in_use_is_replaced_and_the_host_is_kept(scene: GuestScene) -> None:
    host = scene.hosts["a"]
    host.refuses = "AddressInUse"
    outcomes: list[str] = []

    def once(call: Call, moment: str) -> None:
        if moment == "after" and call.matches("create assignments *"):
            outcomes.append(host.records[guest_id()].outcome)
            host.refuses = None

    scene.on_write = once
    scene.add_guest()
    found = await scene.until_ready()
    assert outcomes == ["Refused"]
    assert (found.status.host, found.status.epoch) == ("a", 2)
    [bad], [good] = scene.addresses(held=False), scene.addresses()
    assert bad.spec.address != good.spec.address == found.status.addresses[0].address
    assert [each.address for each in host.running[guest_id()].addresses] == [good.spec.address]
    [assignment] = scene.assignments()
    assert (assignment.spec.epoch, assignment.spec.serial) == (2, 1)


async def test_an_address_that_the_guests_own_mac_answers_for_is_not_replaced(
    frozen_scene: GuestScene,
) -> None:
    """Its machine may run on a host that was given up: with another address there would be two of one MAC."""
    scene, clock = frozen_scene, frozen_scene.clock
    assert isinstance(clock, ManualClock)
    scene.api.patch(IP_POOLS, "lab", {"spec": {"ranges": [{"start": "10.7.0.5", "end": "10.7.0.5"}]}})
    scene.add_host("b", store_id="store-b")
    for host in scene.hosts.values():
        host.refuses, host.conflict = "AddressInUse", "10.7.0.5"
        host.conflict_mac = mac_of(guest_id(), "eth0")
    await scene.seen()
    scene.add_guest()

    def told() -> bool:
        condition = scene.condition("AddressesAssigned")
        assert condition is not None
        assert (condition.status, condition.reason) == ("False", "AddressInUse"), condition
        return "own MAC" in condition.message and mac_of(guest_id(), "eth0") in condition.message

    await eventually(told)
    assert await settled(lambda: [each.metadata.name for each in scene.addresses(held=False)]) == []
    [held] = scene.addresses()
    found = scene.guest()
    assert found is not None
    assert (found.status.host, found.status.epoch, held.spec.address) == (None, 2, "10.7.0.5")
    scene.patch_guest({"metadata": {"labels": {"note": "looked at"}}})  # wakes it
    await settled(lambda: len(scene.api.calls))
    assert [host.running for host in scene.hosts.values()] == [{}, {}]

    for host in scene.hosts.values():
        host.refuses = host.conflict = None
    clock.advance(AVOIDED_FOR_S)
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] == ["10.7.0.5"]
    assert len(scene.addresses(held=False)) == 0


async def test_a_host_is_asked_again_when_its_refusal_ends_whatever_wakes_the_guest_before(
    frozen_scene: GuestScene,
) -> None:
    scene, clock = frozen_scene, frozen_scene.clock
    assert isinstance(clock, ManualClock)
    scene.hosts["a"].refuses = "InsufficientCapacity"
    scene.add_guest()
    await scene.until_reason("NoHostFits")
    scene.hosts["a"].refuses = None
    clock.advance(AVOIDED_FOR_S - 1)
    await settled(lambda: len(scene.api.calls))
    scene.patch_guest({"metadata": {"labels": {"note": "looked at"}}})  # wakes it
    known = scene.operators[0].subset.guests
    await eventually(lambda: known[NAMESPACE, "web"].metadata.labels)
    await settled(lambda: len(scene.api.calls))
    assert scene.condition("Ready").reason == "NoHostFits"
    clock.advance(1)
    found = await scene.until_ready()
    assert (found.status.host, found.status.epoch) == ("a", 2)


async def test_the_same_host_may_be_asked_again_in_a_later_epoch(scene: GuestScene) -> None:
    """After a restart nobody remembers the refusal; its Assignment of the lower epoch is replaced."""
    scene.hosts["a"].refuses = "InsufficientCapacity"
    scene.add_guest()
    await scene.until_reason("NoHostFits")
    await scene.operators.pop().kill()
    scene.hosts["a"].refuses = None
    await scene.operator()
    found = await scene.until_ready()
    assert (found.status.host, found.status.epoch) == ("a", 2)
    [assignment] = scene.assignments()
    assert (assignment.spec.epoch, assignment.spec.serial) == (2, 1)
    assert len(scene.addresses()) == 1


async def test_a_host_that_closes_keeps_the_guests_that_it_has(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.api.patch(HOSTS, "a", {"spec": {"unschedulable": True}})
    scene.patch_guest({"spec": {"power": "Stopped"}})
    found = await scene.until_ready(reason="Stopped")
    assert found.status.host == "a"


async def test_a_guest_that_waits_for_another_address_shows_none(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"ranges": [{"start": "10.7.0.5", "end": "10.7.0.5"}]}})
    scene.hosts["a"].refuses = "AddressInUse"
    await scene.seen()
    scene.add_guest()
    await scene.until_reason("PoolExhausted")
    found = scene.guest()
    assert found is not None
    assert (found.status.host, found.status.epoch, found.status.addresses) == (None, 2, [])
    assert scene.operators[0].subset.promises.count("a") == 0
