"""A guest that is placed nowhere is explained so: by what its own conditions say, and with no host chosen."""

import pytest

from innkeeper.domain import names
from innkeeper.domain.names import mac_of
from innkeeper.domain.reasons import GuestReason
from innkeeper.kube.resources import GUESTS, HOSTS
from innkeeper.workers.explaining import Explained, Explainer
from tests.kit import objects
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE, guest_id
from tests.kit.waiting import eventually


async def explained(scene: GuestScene) -> Explained:
    subset = scene.operators[0].subset
    found = await Explainer(subset, scene.clock).explain(subset.guests[NAMESPACE, "web"], hosts=["a"])
    assert found.chosen is None
    assert found.blocked is not None
    return found


async def test_on_a_lost_host(scene: GuestScene) -> None:
    scene.add_host("b", store_id="store-b")
    scene.add_guest()
    bound = await scene.until_ready()
    scene.api.patch(HOSTS, str(bound.status.host), {"spec": {"lost": "stolen"}})
    ready = await scene.until_reason("HostLost")
    blocked = (await explained(scene)).blocked
    assert blocked is not None
    assert (blocked.step, blocked.reason, blocked.message) == (ready.type, ready.reason, ready.message)


async def test_while_it_is_deleted(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.hear_host("a", heard=False)
    await scene.until_reason("HostUnreachable")
    scene.delete_guest()
    guests = scene.operators[0].subset.guests
    await eventually(lambda: guests[NAMESPACE, "web"].metadata.deletion_timestamp)
    blocked = (await explained(scene)).blocked
    assert blocked is not None
    assert blocked.reason == GuestReason.DELETING


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [
        ({names.REVIVED_FROM_ANNOTATION: "b"}, GuestReason.REVIVAL_WAITS),
        ({names.DESTROYED_ANNOTATION: "1.2"}, GuestReason.DESTROYED_SINCE),
    ],
    ids=["made anew, and bound to nothing yet", "destroyed since"],
)
async def test_that_is_placed_nowhere_by_its_annotation(
    scene: GuestScene, annotations: dict[str, str], reason: GuestReason
) -> None:
    scene.api.create(GUESTS, objects.guest(annotations=annotations), namespace=NAMESPACE)
    step = await scene.until_reason(reason)
    blocked = (await explained(scene)).blocked
    assert blocked is not None
    assert blocked.reason == step.reason == reason


async def test_that_waits_for_a_machine_with_its_own_mac(scene: GuestScene) -> None:
    scene.add_host("b", store_id="store-b")
    for host in scene.hosts.values():
        host.refuses, host.conflict = "AddressInUse", "10.7.0.2"
        host.conflict_mac = mac_of(guest_id(), "eth0")
    scene.add_guest()

    def told() -> bool:
        condition = scene.condition("AddressesAssigned")
        assert condition is not None
        return "own MAC" in condition.message

    await eventually(told)
    blocked = (await explained(scene)).blocked
    step = scene.condition("AddressesAssigned")
    assert blocked is not None
    assert step is not None
    assert (blocked.reason, blocked.message) == (step.reason, step.message)
