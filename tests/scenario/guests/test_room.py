"""Guests that no host fits: who is tried again, when, and in which order."""

from functools import partial
from typing import Any

import pytest

from innkeeper.kube.resources import CLUSTERS, FLAVORS, GUESTS, HOSTS, IP_POOLS
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled

FULL = {"allocatable": {"cpu": "1", "memory": "16Gi", "disk": "200Gi"}}


async def test_the_higher_priority_gets_the_room_then_the_older(scene: GuestScene) -> None:
    scene.patch_status(HOSTS, "a", FULL)
    await scene.seen()
    scene.add_guest("first", number=1)
    await scene.until_ready("first")
    for number, (name, priority) in enumerate({"old": 0, "young": 0, "urgent": 10}.items(), start=2):
        scene.add_guest(
            name,
            number=number,
            spec={"priority": priority},
            creationTimestamp=f"2026-01-01T00:00:{number:02}Z",
        )
        await scene.until_reason("NoHostFits", name)
    order = ["first"]
    for name in ("urgent", "old", "young"):
        scene.delete_guest(order[-1])
        await scene.until_ready(name)
        order.append(name)
    assert order == ["first", "urgent", "old", "young"]


async def test_a_guest_that_does_not_fit_holds_nobody_up(scene: GuestScene) -> None:
    scene.api.create(FLAVORS, objects.flavor("huge", cpu="64"))
    scene.add_guest("huge", number=1, spec={"flavor": "huge", "priority": 1000})
    await scene.until_reason("NoHostFits", "huge")
    scene.add_guest("small", number=2)
    await scene.until_ready("small")
    assert list(scene.hosts["a"].running) == [guest_id(2)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"spec": {"maintenance": True}}, {"spec": {"maintenance": False}}),
        ({"spec": {"unschedulable": True}}, {"spec": {"unschedulable": False}}),
        ({"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}}, {"spec": {"taints": []}}),
        ({"metadata": {"labels": {"rack": "1"}}}, {"metadata": {"labels": {"rack": "2"}}}),
    ],
    ids=["maintenance", "unschedulable", "taint", "label"],
)
async def test_a_change_that_could_help_wakes_who_waits(
    scene: GuestScene, before: dict[str, Any], after: dict[str, Any]
) -> None:
    scene.api.patch(HOSTS, "a", before)
    await scene.seen()
    placement = {
        "hostSelector": {"matchExpressions": [{"key": "rack", "operator": "NotIn", "values": ["1"]}]}
    }
    scene.add_guest(spec={"placement": placement})
    waits = await scene.until_reason("NoHostFits")
    assert waits.message.startswith("0 of 1 hosts fit: 1 is ")
    scene.api.patch(HOSTS, "a", after)
    await scene.until_ready()


async def test_nobody_is_tried_again_while_nothing_changes(scene: GuestScene) -> None:
    decisions: list[str] = []
    scene.operators[0].flow.scheduler.observed_by(lambda outcome, _: decisions.append(outcome))
    scene.patch_status(HOSTS, "a", {"allocatable": {"cpu": "0", "memory": "16Gi", "disk": "200Gi"}})
    await scene.seen()
    scene.add_guest()
    await scene.until_reason("NoHostFits")
    told = await settled(lambda: len(decisions), for_s=1)
    # Heartbeats, and changes that leave no more room, help nobody.
    scene.patch_status(HOSTS, "a", {"conditions": [objects.ready(message="still here")]})
    scene.patch_status(HOSTS, "a", {"allocatable": {"cpu": "0", "memory": "8Gi", "disk": "200Gi"}})
    await eventually(lambda: scene.operators[0].subset.hosts["a"].status.allocatable.memory == "8Gi")
    assert await settled(lambda: len(decisions), for_s=0.5) == told


async def test_a_host_that_tells_of_more_than_there_can_be_ends_no_operator(scene: GuestScene) -> None:
    scene.add_host("boaster", memory="16Ei", disk="9999999999999999999Ei")
    scene.add_guest("first", number=1)
    await scene.until_ready("first")
    await scene.operators[0].kill()
    operator = await scene.operator()
    for number in (2, 3):
        scene.add_guest(f"guest-{number}", number=number)
        await scene.until_ready(f"guest-{number}")
    assert set(operator.subset.hosts) == {"a", "boaster"}
    assert all(not each.untaken for each in operator.informers)


async def test_all_of_a_line_follow_when_a_pool_serves_another_cluster(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"clusterSelector": {"matchLabels": {"net": "blue"}}}})
    await scene.seen()
    names = ("first", "second", "third")
    for number, name in enumerate(names, start=1):
        scene.add_guest(name, number=number)
        await scene.until_reason("NoHostFits", name)
    scene.api.create(CLUSTERS, objects.cluster("new", labels={"net": "blue"}))
    await scene.seen()
    scene.add_host("b", cluster="new", store_id="store-b")
    for name in names:
        await scene.until_ready(name)


async def test_a_flavor_that_is_made_anew_and_smaller_wakes_who_waits_for_room(scene: GuestScene) -> None:
    scene.api.create(FLAVORS, objects.flavor("huge", cpu="64"))
    scene.add_guest(spec={"flavor": "huge"})
    await scene.until_reason("NoHostFits")
    scene.api.delete(FLAVORS, "huge")
    scene.api.create(FLAVORS, objects.flavor("huge", cpu="1"))
    await scene.until_ready()


async def test_a_guest_that_waits_for_room_gets_it_when_another_goes(scene: GuestScene) -> None:
    size = {"flavor": None, "resources": {"cpu": "1", "memory": "10Gi", "disk": "10Gi"}}
    for number, name in enumerate(("first", "second"), start=1):
        guest = objects.guest(name, number=number, spec=size)
        del guest["spec"]["flavor"]
        scene.api.create(GUESTS, guest, namespace="default")
        if name == "first":
            await scene.until_ready("first")
    ready = await scene.until_reason("NoHostFits", "second")
    assert "1 lacks memory" in ready.message
    scene.delete_guest("first")
    await scene.until_ready("second")


async def test_the_message_follows_hosts_that_help_nobody(frozen_scene: GuestScene) -> None:
    scene, clock = frozen_scene, frozen_scene.clock
    assert isinstance(clock, ManualClock)
    scene.api.create(FLAVORS, objects.flavor("huge", cpu="64"))
    names = ("one", "two", "three")
    for number, name in enumerate(names, start=1):
        scene.add_guest(name, number=number, spec={"flavor": "huge"})
        waits = await scene.until_reason("NoHostFits", name)
        assert waits.message == "0 of 1 hosts fit: 1 lacks cpu"
    known = scene.operators[0].subset
    scene.add_host("b", store_id="store-b")
    scene.add_host("c", store_id="store-c")
    await eventually(lambda: known.fleet.hosts == 3)

    def told_anew(name: str) -> bool:
        clock.advance(1)
        ready = scene.condition("Ready", name)
        return ready is not None and ready.message == "0 of 3 hosts fit: 3 lack cpu"

    for name in names:
        await eventually(partial(told_anew, name))


async def the_first_has_room_and_no_address(scene: GuestScene, *others: str) -> None:
    """Have guests wait for room in one line; then there is room, and one before them takes the last addresses."""
    full, roomy = ({"cpu": cpu, "memory": "64Gi", "disk": "900Gi"} for cpu in ("0", "8"))
    scene.patch_status(HOSTS, "a", {"allocatable": full})
    scene.api.create(IP_POOLS, objects.pool("tiny", cidr="10.9.0.0/30", gateway=None))
    await scene.seen()
    for number, name in enumerate(("both", "first", *others), start=1):
        interfaces = [{"name": f"eth{each}", "pool": "tiny"} for each in range(2 if name == "both" else 1)]
        created = f"2026-01-01T00:00:{number:02}Z"
        scene.add_guest(name, number=number, spec={"interfaces": interfaces}, creationTimestamp=created)
        await scene.until_reason("NoHostFits", name)
    scene.patch_status(HOSTS, "a", {"allocatable": roomy})
    await scene.until_ready("both")
    await scene.until_reason("PoolExhausted", "first")


async def is_told_of_the_pool(scene: GuestScene, name: str) -> None:
    """Wait for a message that is told anew: a guest waits for an address, not for the room that was lacking."""
    clock = scene.clock
    assert isinstance(clock, ManualClock)

    def told_why() -> bool:
        clock.advance(1)
        ready = scene.condition("Ready", name)
        assert ready is not None
        assert ready.reason == "PoolExhausted", ready.message
        return ready.message.endswith("1 guest is before this one")

    await eventually(told_why)


async def test_who_stands_behind_a_guest_that_has_room_and_no_address_is_told_so(
    frozen_scene: GuestScene,
) -> None:
    await the_first_has_room_and_no_address(frozen_scene, "second")
    await is_told_of_the_pool(frozen_scene, "second")


async def test_who_stands_behind_the_next_one_is_told_so_where_the_first_is_gone_by_then(
    frozen_scene: GuestScene,
) -> None:
    await the_first_has_room_and_no_address(frozen_scene, "second", "third")
    frozen_scene.delete_guest("first")
    await frozen_scene.until_reason("PoolExhausted", "second")
    await is_told_of_the_pool(frozen_scene, "third")
