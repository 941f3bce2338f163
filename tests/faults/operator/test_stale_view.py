"""An operator whose view is old, or whose decision is overtaken: hosts and the API server have the last word."""

import pytest

from innkeeper.kube.resources import HOSTS
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled

FINALIZED = {"finalizers": ["innkeeper.dev/guest"]}


async def test_a_host_that_shrank_unheard_refuses_and_the_guest_goes_elsewhere(scene: GuestScene) -> None:
    scene.add_host("b", store_id="store-b", memory="2Gi")  # `a` has more room and is asked first
    operator = await scene.operator()
    scene.api.faults.hold_watch("hosts", user="operator-1")
    scene.patch_status(HOSTS, "a", {"allocatable": {"cpu": "0", "memory": "0", "disk": "0"}})
    scene.hosts["a"].room = 0
    scene.add_guest()
    found = await scene.until_ready()
    assert (found.status.host, found.status.epoch) == ("b", 2)
    assert operator.subset.hosts["a"].status.allocatable.cpu == "8", "it never heard of the change"
    assert scene.hosts["a"].running == {}
    await eventually(lambda: [each.metadata.namespace for each in scene.assignments()] == ["host-b"])


@pytest.mark.parametrize("change", [{"maintenance": True}, {"unschedulable": True}])
async def test_what_is_set_after_the_decision_counts_for_the_next_guest(
    scene: GuestScene, change: dict[str, bool]
) -> None:
    """The binding was decided before; the guest runs where it was bound, and nothing is moved."""
    await scene.operator()
    binding = scene.api.faults.hold("update guests/status *")
    scene.add_guest("first", number=1, **FINALIZED)
    await eventually(lambda: binding.met)
    scene.api.patch(HOSTS, "a", {"spec": change})
    assert binding.gate is not None
    binding.gate.set()
    found = await scene.until_ready("first")
    assert (found.status.host, found.status.epoch) == ("a", 1)
    scene.add_guest("second", number=2)
    await scene.until_reason("NoHostFits", "second")
    assert list(scene.hosts["a"].running) == [guest_id(1)]
    # It can be taken back, and who waited goes there.
    scene.api.patch(HOSTS, "a", {"spec": dict.fromkeys(change, False)})
    await scene.until_ready("second")


async def test_a_guest_that_is_deleted_while_it_is_bound_leaves_no_promise(scene: GuestScene) -> None:
    operator = await scene.operator()
    binding = scene.api.faults.hold("update guests/status *")
    scene.add_guest(**FINALIZED)
    await eventually(lambda: binding.met)
    assert operator.subset.promises.count("a") == 1
    scene.delete_guest()
    assert binding.gate is not None
    binding.gate.set()
    await scene.until_gone()
    await settled(lambda: len(scene.api.calls))
    assert operator.subset.promises.count("a") == 0
    assert scene.hosts["a"].destroyed == []


async def test_a_guest_that_was_bound_unheard_is_not_bound_again(scene: GuestScene) -> None:
    """The second operator hears of no guest any more once it has seen this one; its binding meets the first one's."""
    scene.add_host("b", store_id="store-b")
    scene.api.faults.hold("update guests/status *", times=1)
    first = await scene.operator()
    scene.add_guest(**FINALIZED)
    hold = scene.api.faults.faults[0]
    await eventually(lambda: hold.met)
    second = await scene.operator()
    scene.api.faults.hold_watch("guests", user="operator-2")
    await scene.until_ready()
    assert hold.gate is not None
    hold.gate.set()
    await settled(lambda: len(scene.api.calls))
    assert len(scene.assignments()) == 1
    assert sum(len(host.running) for host in scene.hosts.values()) == 1
    held = {each.subset.promises.host_of(guest_id()) for each in (first, second)}
    found = scene.guest()
    assert found is not None
    assert held == {found.status.host}
