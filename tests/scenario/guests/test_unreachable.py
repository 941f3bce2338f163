"""A guest on a host that is not heard: nobody knows what it does, so it is started nowhere else."""

from innkeeper.kube.resources import HOSTS
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE
from tests.kit.waiting import eventually, settled


async def test_it_stays_bound_though_another_host_would_do(scene: GuestScene) -> None:
    scene.add_guest()
    before = await scene.until_ready()
    scene.add_host("b", store_id="store-b")
    scene.hear_host("a", heard=False)
    ready = await scene.until_reason("HostUnreachable")
    assert (ready.status, ready.message) == (
        "Unknown",
        "host a is not heard; the guest may well be running there",
    )
    await settled(lambda: len(scene.api.writes()))
    found = scene.guest()
    assert found is not None
    assert (found.status.host, found.status.epoch) == ("a", before.status.epoch)
    assert [each.metadata.namespace for each in scene.assignments()] == ["host-a"]
    assert scene.hosts["b"].running == {}
    scene.hear_host("a", heard=True)
    after = await scene.until_ready()
    assert (after.status.host, after.status.epoch) == ("a", before.status.epoch)


async def test_a_change_of_power_waits_for_the_host(scene: GuestScene) -> None:
    """The order is written, so the host finds it when it is heard again."""
    scene.add_guest()
    await scene.until_ready()
    scene.hear_host("a", heard=False)
    await scene.until_reason("HostUnreachable")
    scene.patch_guest({"spec": {"power": "Stopped"}})
    ordered = [("host-a", "Stopped")]
    await eventually(
        lambda: [(each.metadata.namespace, each.spec.desired) for each in scene.assignments()] == ordered
    )
    scene.hear_host("a", heard=True)
    await scene.until_ready(reason="Stopped")


async def test_maintenance_moves_nothing(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.add_host("b", store_id="store-b")
    scene.api.patch(HOSTS, "a", {"spec": {"maintenance": True}})
    await eventually(lambda: scene.operators[0].subset.hosts["a"].spec.maintenance)
    scene.add_guest("late", number=2)
    late = await scene.until_ready("late")
    assert late.status.host == "b"
    found = scene.guest()
    assert found is not None
    assert (found.status.host, found.metadata.namespace) == ("a", NAMESPACE)
    scene.api.patch(HOSTS, "b", {"spec": {"maintenance": True}})
    await eventually(lambda: scene.operators[0].subset.hosts["b"].spec.maintenance)
    scene.add_guest("later", number=3)
    ready = await scene.until_reason("NoHostFits", "later")
    assert "0 of 2 hosts fit: 2 are in maintenance" in ready.message
    scene.api.patch(HOSTS, "b", {"spec": {"maintenance": False}})
    later = await scene.until_ready("later")
    assert later.status.host == "b"
