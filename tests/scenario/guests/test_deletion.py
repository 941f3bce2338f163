"""The way out of a guest, from every state, on hosts that hear, are silent, are lost, or are not there."""

import pytest

from innkeeper.domain import names
from innkeeper.domain.orders import Signer
from innkeeper.kube.resources import ASSIGNMENTS, CRDS, GUESTS, HOSTS, IP_ADDRESSES, SECRETS
from tests.kit import objects
from tests.kit.agent_orders import order as an_order
from tests.kit.guest_scene import GuestScene, guest_scene
from tests.kit.objects import NAMESPACE, guest_id
from tests.kit.waiting import eventually, settled

FORCE = {"metadata": {"annotations": {names.FORCE_DELETE_ANNOTATION: "the rack burnt"}}}


async def running(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()


async def test_a_deleted_guest_leaves_nothing_but_an_address_in_quarantine(scene: GuestScene) -> None:
    await running(scene)
    scene.delete_guest()
    await scene.until_gone()
    assert scene.hosts["a"].destroyed == [guest_id()]
    assert scene.addresses() == []
    [address] = scene.addresses(held=False)
    assert address.spec.released_at is not None
    assert names.GUEST_ID_LABEL not in address.metadata.labels
    assert scene.operators[0].subset.promises.count("a") == 0


async def test_the_order_of_the_way_out(scene: GuestScene) -> None:
    await running(scene)
    scene.api.calls.clear()
    scene.delete_guest()
    await scene.until_gone()
    steps = [
        each
        for each in (f"{call.verb} {call.resource} {call.subresource}".strip() for call in scene.api.writes())
        if each != "patch guests status"
    ]
    assert steps == ["patch assignments", "patch ipaddresses", "patch guests", "delete assignments"]


async def test_a_guest_that_was_never_bound_goes_with_its_claim(scene: GuestScene) -> None:
    scene.patch_status(HOSTS, "a", {"conditions": [objects.ready("False", "AgentNotReady")]})
    scene.api.create(IP_ADDRESSES, objects.address(3))
    await scene.seen()
    scene.add_guest()
    await scene.until_reason("NoHostFits")
    scene.delete_guest()
    await scene.until_gone()
    assert scene.addresses() == []
    assert scene.hosts["a"].destroyed == []


async def test_a_silent_host_is_waited_for(scene: GuestScene) -> None:
    await running(scene)
    scene.hear_host("a", heard=False)
    ready = await scene.until_reason("HostUnreachable")
    assert ready.status == "Unknown"
    scene.delete_guest()
    ready = await scene.until_reason("DeletionWaitsForHost")
    assert "spec.lost" in ready.message
    assert len(scene.addresses()) == 1
    scene.hear_host("a", heard=True)
    await scene.until_gone()
    assert scene.hosts["a"].destroyed == [guest_id()]
    assert scene.addresses() == []


async def test_force_finishes_the_guest_and_keeps_the_order_until_the_host_returns(
    scene: GuestScene,
) -> None:
    await running(scene)
    scene.hear_host("a", heard=False)
    await scene.until_reason("HostUnreachable")
    scene.delete_guest()
    await scene.until_reason("DeletionWaitsForHost")
    scene.patch_guest(FORCE)
    await eventually(lambda: scene.guest() is None)
    [assignment] = scene.assignments()
    assert assignment.spec.desired == "Destroyed"
    assert len(scene.addresses()) == 1, "the guest may still use it"
    assert scene.operators[0].subset.promises.count("a") == 1
    for _ in range(4):
        await scene.operators[0].sweeper.sweep()
    assert len(scene.addresses()) == 1
    scene.hear_host("a", heard=True)
    await scene.until_gone()
    assert scene.hosts["a"].destroyed == [guest_id()]
    assert scene.addresses() == []
    assert scene.operators[0].subset.promises.count("a") == 0


async def test_a_forced_guest_keeps_its_address_even_when_its_last_order_is_deleted_by_hand(
    scene: GuestScene,
) -> None:
    """The silent host may still run it: only the word that the host never returns sets the address free."""
    await running(scene)
    scene.hear_host("a", heard=False)
    await scene.until_reason("HostUnreachable")
    scene.delete_guest()
    scene.patch_guest(FORCE)
    await eventually(lambda: scene.guest() is None)
    [assignment] = scene.assignments()
    scene.api.delete(ASSIGNMENTS, assignment.metadata.name, namespace=assignment.metadata.namespace)
    await eventually(lambda: not scene.operators[0].subset.assignments_of(guest_id()))
    for _ in range(5):
        await scene.operators[0].sweeper.sweep()
    assert len(scene.addresses()) == 1
    scene.api.patch(HOSTS, "a", {"spec": {"lost": "stolen"}})
    await eventually(lambda: scene.operators[0].subset.host_is_lost("a"))
    for _ in range(5):
        await scene.operators[0].sweeper.sweep()
    assert scene.addresses() == []


async def test_an_order_made_again_is_signed_above_what_the_host_holds_after_force(scene: GuestScene) -> None:
    """The order's serials began anew, and no Guest is left that would have it signed again."""
    await running(scene)
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await scene.until_ready(reason="Stopped")
    scene.hear_host("a", heard=False)
    await scene.until_reason("HostUnreachable")
    [second] = scene.assignments()
    scene.api.delete(ASSIGNMENTS, second.metadata.name, namespace=second.metadata.namespace)
    await eventually(lambda: [each.spec.serial for each in scene.assignments()] == [1])
    scene.delete_guest()
    scene.patch_guest(FORCE)
    await eventually(lambda: scene.guest() is None)
    [last] = scene.assignments()
    assert (last.spec.desired, last.spec.serial) == ("Destroyed", second.spec.serial)
    scene.hear_host("a", heard=True)
    await scene.until_gone()
    assert scene.hosts["a"].destroyed == [guest_id()]
    assert scene.addresses() == []


async def test_a_guest_deleted_by_force_goes_though_its_host_lost_its_store(scene: GuestScene) -> None:
    """No Guest is left that would have the order to destroy signed again for the new store."""
    await running(scene)
    scene.hear_host("a", heard=False)
    await scene.until_reason("HostUnreachable")
    scene.delete_guest()
    scene.patch_guest(FORCE)
    await eventually(lambda: scene.guest() is None)
    scene.hosts["a"].store_id = "store-2"
    scene.hosts["a"].records.clear()
    scene.patch_status(HOSTS, "a", {"storeId": "store-2"})
    scene.hear_host("a", heard=True)
    await scene.until_gone()
    assert scene.hosts["a"].destroyed == [guest_id()]
    assert scene.addresses() == []


async def test_nobody_signs_above_an_order_to_destroy_that_is_not_ours(scene: GuestScene) -> None:
    """Who may write Assignments, and has no key, gets no signature by a plant without a Guest."""
    order = Signer(b"\x09" * 32).sign(an_order())
    said = {"outcome": "Superseded", "held": {"epoch": 7, "serial": 7}, "observedGeneration": 1}
    planted = objects.assignment(order=order, desired="Destroyed", status=said)
    scene.api.create(ASSIGNMENTS, planted, namespace="host-a")
    await settled(lambda: len(scene.api.calls))
    [left] = scene.assignments()
    assert left.spec.order == order


async def test_force_does_nothing_while_the_host_is_heard(scene: GuestScene) -> None:
    await running(scene)
    scene.hosts["a"].hears = False  # slow, but its heartbeat comes
    scene.patch_guest(FORCE)
    scene.delete_guest()
    await scene.until_reason("Deleting")
    await settled(lambda: len(scene.api.calls), for_s=0.3)
    assert scene.guest() is not None
    assert len(scene.addresses()) == 1


async def test_a_lost_host_takes_its_guests_with_it(scene: GuestScene) -> None:
    await running(scene)
    scene.hosts["a"].hears = False
    scene.api.patch(HOSTS, "a", {"spec": {"lost": "stolen"}})
    ready = await scene.until_reason("HostLost")
    assert ready.status == "False"
    assert scene.condition("Stalled") is not None
    await eventually(lambda: not scene.addresses())
    scene.delete_guest()
    await scene.until_gone()
    assert scene.hosts["a"].destroyed == []


async def test_a_lost_host_that_was_deleted_still_lets_its_guests_go(scene: GuestScene) -> None:
    await running(scene)
    scene.hosts["a"].hears = False
    scene.api.patch(HOSTS, "a", {"spec": {"lost": "stolen"}})
    await scene.until_reason("HostLost")
    scene.api.delete(HOSTS, "a")
    await settled(lambda: len(scene.api.calls))
    scene.delete_guest()
    await scene.until_gone()


async def test_a_host_whose_object_vanished_is_silent_not_gone(scene: GuestScene) -> None:
    """As when the CRD of Hosts is deleted: the machines run on."""
    await running(scene)
    scene.hosts["a"].hears = False
    scene.api.delete(HOSTS, "a")
    await scene.until_reason("HostUnreachable")
    scene.delete_guest()
    await scene.until_reason("DeletionWaitsForHost")
    await settled(lambda: len(scene.api.calls))
    assert scene.guest() is not None
    assert len(scene.addresses()) == 1
    scene.api.create(HOSTS, objects.host("a"))
    scene.hear_host("a", heard=True)
    await scene.until_gone()
    assert scene.hosts["a"].destroyed == [guest_id()]


async def test_while_the_guest_crd_goes_no_guest_is_destroyed(scene: GuestScene) -> None:
    await running(scene)
    scene.api.patch(CRDS, "guests.innkeeper.dev", {"metadata": {"finalizers": ["customresourcecleanup"]}})
    scene.api.delete(CRDS, "guests.innkeeper.dev")
    scene.delete_guest()
    ready = await scene.until_reason("Deleting")
    await eventually(lambda: "CRD" in (scene.condition("Ready") or ready).message)
    assert [each.spec.desired for each in scene.assignments()] == ["Running"]
    assert scene.hosts["a"].destroyed == []
    assert len(scene.addresses()) == 1


async def test_the_process_may_know_earlier_that_the_guest_crd_goes(scene: GuestScene) -> None:
    await running(scene)
    scene.operators[0].subset.guest_crd_terminating = True
    scene.delete_guest()
    await scene.until_reason("Deleting")
    await settled(lambda: len(scene.api.calls))
    assert scene.hosts["a"].destroyed == []


@pytest.mark.parametrize("victim", ["the order to run", "the order to destroy"])
async def test_an_assignment_deleted_by_hand_holds_up_no_deletion(scene: GuestScene, victim: str) -> None:
    await running(scene)
    host = scene.hosts["a"]
    host.hears = False
    if victim == "the order to run":
        operator = scene.operators.pop()
        await operator.kill()
        scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
        scene.delete_guest()
        await scene.operator()
    else:
        scene.delete_guest()
        await eventually(lambda: [each.spec.desired for each in scene.assignments()] == ["Destroyed"])
        scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
    await eventually(lambda: [each.spec.desired for each in scene.assignments()] == ["Destroyed"])
    host.hears = True
    host.look()
    await scene.until_gone()
    assert host.destroyed == [guest_id()]


async def answered_of_an_epoch_before(scene: GuestScene, outcome: str) -> None:
    """The order of epoch 2 goes to a host that is silent, and whose last answer was of epoch 1."""
    await running(scene)
    scene.hosts["a"].hears = False
    told = {"outcome": outcome, "held": {"epoch": 1, "serial": 1}}
    scene.patch_status(ASSIGNMENTS, guest_id(), told, namespace="host-a")
    scene.patch_status(GUESTS, "web", {"epoch": 2}, namespace=NAMESPACE)
    await eventually(lambda: scene.assignments()[0].spec.epoch == 2)


async def test_an_answer_of_an_epoch_before_confirms_no_destruction(scene: GuestScene) -> None:
    await answered_of_an_epoch_before(scene, "Destroyed")
    scene.delete_guest()
    await eventually(lambda: scene.assignments()[0].spec.desired == "Destroyed")
    await settled(scene.api.writes)
    assert scene.guest() is not None
    assert len(scene.addresses()) == 1
    scene.hosts["a"].hears = True
    scene.hosts["a"].look()
    await scene.until_gone()
    assert scene.hosts["a"].destroyed == [guest_id()]
    assert scene.addresses() == []


@pytest.mark.parametrize("outcome", ["Destroyed", "Refused"])
async def test_an_answer_of_an_epoch_before_gives_no_room_back(scene: GuestScene, outcome: str) -> None:
    await answered_of_an_epoch_before(scene, outcome)
    scene.strip_guest()
    await settled(scene.api.writes)
    assert scene.operators[0].subset.promises.count("a") == 1
    assert [each.spec.desired for each in scene.assignments()] == ["Running"]
    assert len(scene.addresses()) == 1


async def test_an_order_below_a_tombstone_is_over_with_it(scene: GuestScene) -> None:
    await running(scene)
    scene.hosts["a"].hears = False
    scene.delete_guest()
    await eventually(lambda: scene.assignments()[0].spec.desired == "Destroyed")
    told = {"outcome": "Destroyed", "held": {"epoch": 2, "serial": 1}}
    scene.patch_status(ASSIGNMENTS, guest_id(), told, namespace="host-a")
    await scene.until_gone()
    assert scene.addresses() == []


async def test_an_order_without_a_guest_is_left_alone_unless_it_destroys(scene: GuestScene) -> None:
    """As after the Guest objects were lost: absence is no order."""
    await running(scene)
    scene.api.patch(GUESTS, "web", {"metadata": {"finalizers": []}}, namespace="default")
    scene.api.store.admission.clear()
    scene.api.patch(GUESTS, "web", {"metadata": {"finalizers": []}}, namespace="default")
    scene.delete_guest()
    await eventually(lambda: scene.guest() is None)
    for _ in range(4):
        await scene.operators[0].sweeper.sweep()
    await settled(lambda: len(scene.api.calls))
    assert [each.spec.desired for each in scene.assignments()] == ["Running"]
    assert scene.hosts["a"].destroyed == []
    assert len(scene.addresses()) == 1
    assert scene.operators[0].subset.promises.count("a") == 1


async def test_the_user_data_go_with_the_guest(scene: GuestScene) -> None:
    scene.api.create(
        SECRETS,
        {"metadata": {"name": "mine"}, "stringData": {"userData": "#cloud-config"}},
        namespace="default",
    )
    scene.add_guest(spec={"userData": {"secretName": "mine"}})
    await scene.until_ready()
    assert len(scene.api.objects(SECRETS, namespace="host-a")) == 1
    scene.delete_guest()
    await scene.until_gone()
    assert scene.api.objects(SECRETS, namespace="host-a") == []


async def test_deletion_while_the_binding_is_written(scene: GuestScene) -> None:
    """The guard of the binding fails, and the claim goes."""
    hold = scene.api.faults.hold("update guests/status *")
    scene.add_guest()
    await eventually(lambda: hold.met)
    scene.delete_guest()
    assert hold.gate is not None
    hold.gate.set()
    await scene.until_gone()
    assert scene.addresses() == []
    assert scene.hosts["a"].destroyed == []


async def test_nobody_signs_over_an_order_to_destroy_from_an_older_view() -> None:
    """A second operator whose watch of Guests lags sees the order to destroy, but not yet the deletion."""
    async with guest_scene() as scene:
        scene.furnish()
        operator = await scene.operator()
        await running(scene)
        scene.hosts["a"].hears = False
        stale = operator.subset.guests["default", "web"]
        scene.delete_guest()
        await eventually(lambda: [each.spec.desired for each in scene.assignments()] == ["Destroyed"])
        await settled(lambda: len(scene.api.calls))
        blocked = await operator.flow._assigner.ensure(stale)
        assert blocked is not None
        assert [each.spec.desired for each in scene.assignments()] == ["Destroyed"]


async def test_an_order_without_a_guest_goes_when_its_host_is_lost(scene: GuestScene) -> None:
    await running(scene)
    scene.api.store.admission.clear()
    scene.api.patch(GUESTS, "web", {"metadata": {"finalizers": []}}, namespace="default")
    await scene.operators.pop().kill()
    scene.api.patch(GUESTS, "web", {"metadata": {"finalizers": []}}, namespace="default")
    scene.delete_guest()
    operator = await scene.operator()
    await settled(lambda: len(scene.api.calls))
    assert len(scene.assignments()) == len(scene.addresses()) == 1
    scene.hosts["a"].hears = False
    scene.api.patch(HOSTS, "a", {"spec": {"lost": "stolen"}})
    await eventually(lambda: not scene.assignments())
    assert scene.addresses() == []
    await eventually(lambda: operator.subset.promises.count("a") == 0)
