"""An API server that was put back to an older copy: hosts say what happened since, and no guest comes or goes by it."""

from collections.abc import AsyncIterator

import pytest

from innkeeper.domain import names
from innkeeper.domain.rebuild.findings import FindingKind
from innkeeper.kube.resources import GUESTS, IP_POOLS
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import NAMESPACE, guest_id
from tests.kit.waiting import eventually, settled
from tests.scenario.rebuild.putting_back import furnished, hear, put_back, running


@pytest.fixture
async def scene() -> AsyncIterator[GuestScene]:
    """Give what one guest needs; each test starts its operators."""
    async with furnished() as made:
        yield made


async def test_a_guest_created_since_is_back_as_it_runs(scene: GuestScene) -> None:
    backup = scene.api.store.backup()
    await scene.operator()
    scene.add_guest(labels={"app": "web"})
    before = await scene.until_ready()
    await put_back(scene, backup)
    after = await scene.until_ready()
    assert after.status.addresses == before.status.addresses
    assert (after.status.host, after.status.epoch) == (before.status.host, before.status.epoch)
    assert after.metadata.labels == {"app": "web"}
    assert running(scene) == {guest_id(): ["a"]}
    assert scene.hosts["a"].destroyed == []
    assert len(scene.addresses()) == 1


async def test_an_address_in_use_is_given_to_nobody_else(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"cidr": "10.7.0.0/30", "gateway": None}})  # two addresses
    backup = scene.api.store.backup()
    await scene.operator()
    scene.add_guest()
    first = await scene.until_ready()
    await put_back(scene, backup)
    scene.add_guest("db", number=2)
    second = await scene.until_ready("db")
    assert {each.address for each in (*first.status.addresses, *second.status.addresses)} == {
        "10.7.0.1",
        "10.7.0.2",
    }


async def test_a_guest_destroyed_since_is_not_built_again_and_its_object_says_so(scene: GuestScene) -> None:
    await scene.operator()
    scene.add_guest()
    await scene.until_ready()
    backup = scene.api.store.backup()
    scene.delete_guest()
    await scene.until_gone()
    await put_back(scene, backup)
    told = await scene.until_reason("DestroyedSince")
    stalled = scene.condition("Stalled")
    assert told.status == "False"
    assert stalled is not None
    assert "delete the Guest" in stalled.message
    scene.patch_guest({"spec": {"power": "Stopped"}})
    scene.patch_guest({"spec": {"power": "Running"}})
    await settled(lambda: len(scene.api.calls))
    assert running(scene) == {}
    assert [each.spec.serial for each in scene.assignments()] == [1], "no order was made"
    assert scene.addresses() == [], "its address rests"
    scene.delete_guest()
    await scene.until_gone()


@pytest.mark.parametrize("store", ["as it was", "put back"])
async def test_a_guest_that_was_forgotten_at_its_host_is_not_called_destroyed(
    scene: GuestScene, store: str
) -> None:
    await scene.operator()
    scene.add_guest()
    await scene.until_ready()
    backup = scene.api.store.backup()
    scene.hosts["a"].forget(guest_id(), by="bob at noon")
    await scene.until_reason("ForgottenAtHost")
    outcome = await put_back(scene, backup) if store == "put back" else await hear(scene)
    assert (outcome.made["Forgotten"], outcome.made["Destroyed"]) == (1, 0)

    def is_told() -> bool:
        told = scene.condition("Ready")
        return told is not None and told.reason == "ForgottenAtHost" and "bob at noon" in told.message

    await eventually(is_told)
    await settled(lambda: len(scene.api.calls))
    ready, stalled = scene.condition("Ready"), scene.condition("Stalled")
    assert ready is not None
    assert stalled is not None
    assert "set aside there, not deleted" in ready.message
    assert "order to destroy" not in ready.message
    assert "delete the Guest" in stalled.message
    assert running(scene) == {}
    await hear(scene)
    scene.delete_guest()
    await scene.until_gone()


async def test_a_guest_that_was_not_placed_yet_and_was_destroyed_since_is_not_placed_again(
    scene: GuestScene,
) -> None:
    scene.add_guest()
    backup = scene.api.store.backup()
    await scene.operator()
    await scene.until_ready()
    scene.delete_guest()
    await scene.until_gone()
    await put_back(scene, backup)
    await scene.until_reason("DestroyedSince")
    await settled(lambda: len(scene.api.calls))
    assert running(scene) == {}
    assert scene.assignments() == []
    scene.delete_guest()
    await scene.until_gone()


async def test_a_guest_that_was_not_placed_yet_is_bound_where_it_runs(scene: GuestScene) -> None:
    scene.add_host("b", store_id="store-b")
    scene.add_guest(number=None)
    backup = scene.api.store.backup()
    await scene.operator()
    before = await scene.until_ready()
    await put_back(scene, backup)
    after = await scene.until_ready()
    assert (after.status.host, after.status.addresses) == (before.status.host, before.status.addresses)
    assert list(running(scene).values()) == [[before.status.host]]


async def test_a_guest_that_moved_since_stays_where_it_went(scene: GuestScene) -> None:
    scene.add_host("b", store_id="store-b", memory="2Gi")  # `a` has more room and is asked first
    scene.hosts["a"].hears = False
    await scene.operator()
    scene.add_guest()
    await eventually(lambda: len(scene.assignments()) == 1)
    backup = scene.api.store.backup()
    scene.hosts["a"].refuses = "InsufficientCapacity"
    scene.hosts["a"].hears = True
    scene.hosts["a"].look()
    assert (await scene.until_ready()).status.host == "b"
    await put_back(scene, backup)
    after = await scene.until_ready()
    assert (after.status.host, after.status.epoch) == ("b", 2)
    assert running(scene) == {guest_id(): ["b"]}


@pytest.mark.parametrize("present", ["b", "0"])  # after `a` by name, and before it
@pytest.mark.parametrize("moment", ["without the guest", "before it moved", "after it moved"])
async def test_a_guest_that_moved_is_bound_where_it_lives_and_not_where_its_disk_was_left(
    scene: GuestScene, present: str, moment: str
) -> None:
    scene.add_host(present, store_id="store-2", memory="1Gi")  # `a` has more room and is asked first
    backups = {"without the guest": scene.api.store.backup()}
    await scene.operator()
    scene.add_guest()
    assert (await scene.until_ready()).status.host == "a"
    backups["before it moved"] = scene.api.store.backup()
    scene.patch_status(GUESTS, "web", {"host": present, "epoch": 2}, namespace=NAMESPACE)
    await eventually(lambda: running(scene) == {guest_id(): [present]})
    before = await scene.until_ready()
    backups["after it moved"] = scene.api.store.backup()
    outcome = await put_back(scene, backups[moment])
    assert [(each.kind, each.host) for each in outcome.findings] == [(FindingKind.SUPERSEDED, "a")]
    after = await scene.until_ready()
    assert (after.status.host, after.status.epoch) == (present, 2)
    assert after.status.addresses == before.status.addresses
    assert [each.spec.owner.id for each in scene.addresses() if each.spec.owner] == [guest_id()]
    await settled(lambda: len(scene.api.calls))
    assert running(scene) == {guest_id(): [present]}
    assert [host.destroyed for host in scene.hosts.values()] == [[], []]
    scene.delete_guest()
    await scene.until_gone()
    assert [host.destroyed for host in scene.hosts.values()] == [[guest_id()], [guest_id()]]


@pytest.mark.parametrize("status", [403, 422])
async def test_a_guest_that_cannot_be_marked_as_destroyed_holds_nothing_up(
    scene: GuestScene, status: int
) -> None:
    await scene.operator()
    for number, name in enumerate(("web", "db"), start=1):
        scene.add_guest(name, number=number)
        await scene.until_ready(name)
    backup = scene.api.store.backup()
    for name in ("web", "db"):
        scene.delete_guest(name)
    for name in ("web", "db"):
        await scene.until_gone(name)
    scene.api.faults.fail("patch guests", status=status)
    outcome = await put_back(scene, backup)
    [finding] = outcome.failures
    assert finding.kind == FindingKind.NOT_ENDED
    assert "Delete that Guest" in finding.message
    assert outcome.made["Destroyed"] == 1


async def test_the_address_of_a_destroyed_guest_is_its_later_holders(scene: GuestScene) -> None:
    scene.api.patch(IP_POOLS, "lab", {"spec": {"ranges": [{"start": "10.7.0.5", "end": "10.7.0.5"}]}})
    scene.api.patch(IP_POOLS, "lab", {"spec": {"quarantine": "0s"}})
    await scene.operator()
    scene.add_guest()
    await scene.until_ready()
    backup = scene.api.store.backup()
    scene.delete_guest()
    await scene.until_gone()
    await scene.operators[0].sweeper.sweep()  # its rest is over
    scene.add_guest("db", number=2)
    await scene.until_ready("db")
    await put_back(scene, backup)
    again = await scene.until_ready("db")
    await scene.until_reason("DestroyedSince")
    [held] = scene.addresses()
    assert held.spec.owner is not None
    assert held.spec.owner.id == guest_id(2)
    assert [each.address for each in again.status.addresses] == ["10.7.0.5"]
    assert running(scene) == {guest_id(2): ["a"]}


async def test_a_second_hearing_changes_nothing(scene: GuestScene) -> None:
    await scene.operator()
    scene.add_guest()
    await scene.until_ready()
    backup = scene.api.store.backup()
    scene.delete_guest()
    await scene.until_gone()
    scene.add_guest("db", number=2)
    await scene.until_ready("db")
    await put_back(scene, backup)
    scene.api.calls.clear()
    await put_back(scene, scene.api.store.backup())
    assert scene.api.writes(user="healer") == []
    found = scene.api.get(GUESTS, "web", namespace=NAMESPACE)
    assert found is not None
    assert found["metadata"]["annotations"][names.DESTROYED_ANNOTATION] == "1.2"
