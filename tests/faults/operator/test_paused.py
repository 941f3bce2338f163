"""An operator stands still (SIGSTOP, a frozen machine) while another one leads, and goes on with what it knew before."""

from innkeeper.kube.resources import GUESTS
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled

FINALIZED = {"finalizers": ["innkeeper.dev/guest"]}
KINDS = ("guests", "assignments", "ipaddresses", "hosts")


def pause_views(scene: GuestScene, user: str) -> None:
    """Let an operator hear of nothing more."""
    for kind in KINDS:
        scene.api.faults.hold_watch(kind, user=user)


async def test_before_its_binding_of_a_guest_that_was_made_anew(scene: GuestScene) -> None:
    """The guest was deleted and another one of its name runs elsewhere: the old binding meets its guard."""
    await scene.operator()
    held = scene.api.faults.hold("update guests/status *")
    scene.add_guest(number=None, **FINALIZED)
    await eventually(lambda: held.met)
    pause_views(scene, "operator-1")
    await scene.operator()
    scene.delete_guest()
    await eventually(lambda: scene.guest() is None)
    scene.add_guest(number=None, **FINALIZED)
    second = await scene.until_ready()
    assert held.gate is not None
    held.gate.set()
    await settled(lambda: len(scene.api.calls))
    found = scene.guest()
    assert found is not None
    assert (found.metadata.uid, found.status.host, found.status.epoch) == (second.metadata.uid, "a", 1)
    assert list(scene.hosts["a"].running) == [second.metadata.uid]
    assert {each.spec.guest_id for each in scene.assignments()} == {second.metadata.uid}
    scene.api.faults.clear()


async def test_before_its_order_for_a_guest_that_was_destroyed(scene: GuestScene) -> None:
    """The order comes when the host has buried the guest: it is not built again."""
    await scene.operator()
    held = scene.api.faults.hold("create assignments *")
    scene.add_guest(**FINALIZED)
    await eventually(lambda: held.met)
    pause_views(scene, "operator-1")
    await scene.operator()
    await scene.until_ready()
    scene.delete_guest()
    await scene.until_gone()
    assert scene.hosts["a"].destroyed == [guest_id()]
    assert held.gate is not None
    held.gate.set()
    scene.api.faults.clear()
    scene.api.faults.drop_watch()
    await eventually(lambda: not scene.assignments())
    await settled(lambda: len(scene.api.calls))
    assert scene.hosts["a"].running == {}
    assert scene.addresses() == []
    assert scene.api.objects(GUESTS) == []
