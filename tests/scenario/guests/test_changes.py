"""What changes after a Guest is bound reaches its host as the next serial, and absence is never an order."""

from innkeeper.domain import names
from innkeeper.domain.orders import digest_of, peek
from innkeeper.kube.resources import ASSIGNMENTS, HOSTS, IMAGES, IP_POOLS, NAMESPACES, SECRETS
from tests.kit import objects
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import DIGEST, guest_id
from tests.kit.waiting import eventually, settled


async def test_a_change_of_power_takes_the_next_serial_and_is_never_told_too_early(
    scene: GuestScene,
) -> None:
    scene.add_guest()
    before = await scene.until_ready()
    scene.hosts["a"].hears = False
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await eventually(lambda: [each.spec.serial for each in scene.assignments()] == [2])
    await settled(lambda: len(scene.api.calls))
    ready = scene.condition("Ready")
    assert ready is not None
    assert (ready.reason, ready.observed_generation) == ("Running", 1)
    scene.hosts["a"].hears = True
    scene.hosts["a"].look()
    after = await scene.until_ready(reason="Stopped")
    [assignment] = scene.assignments()
    assert (assignment.spec.desired, assignment.spec.serial) == ("Stopped", 2)
    assert after.metadata.generation == 2
    assert after.status.addresses == before.status.addresses
    scene.patch_guest({"spec": {"power": "Running"}})
    await scene.until_ready()
    assert scene.assignments()[0].spec.serial == 3


async def test_a_change_of_labels_reaches_the_host(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.patch_guest({"metadata": {"labels": {"team": "blue"}}})
    await eventually(lambda: scene.hosts["a"].running[guest_id()].labels == {"team": "blue"})


async def test_nothing_is_written_for_a_change_that_concerns_no_host(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    before = len(await settled(scene.api.writes))
    scene.patch_guest({"metadata": {"annotations": {names.FORCE_DELETE_ANNOTATION: "not yet"}}})
    assert len(await settled(scene.api.writes)) == before


async def test_a_deleted_assignment_is_made_again_and_signed_above_what_the_host_holds(
    scene: GuestScene,
) -> None:
    scene.add_guest()
    await scene.until_ready()
    for power, reason in (("Stopped", "Stopped"), ("Running", "Running")):
        scene.patch_guest({"spec": {"power": power}})
        await scene.until_ready(reason=reason)
    host = scene.hosts["a"]
    assert host.records[guest_id()].rank == (1, 3)
    scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
    made_again = [(4, "Accepted")]
    await eventually(
        lambda: [(each.spec.serial, each.status.outcome) for each in scene.assignments()] == made_again
    )
    await settled(lambda: len(scene.api.calls))
    [assignment] = scene.assignments()
    assert (assignment.spec.epoch, assignment.spec.serial) == (1, 4)
    assert assignment.status.outcome == "Accepted"
    assert host.destroyed == []
    await scene.until_ready()


async def test_an_assignment_that_vanishes_while_power_changes_cannot_hide_the_change(
    scene: GuestScene,
) -> None:
    """The order that is made again has the rank that the host holds, and says something else."""
    scene.add_guest()
    await scene.until_ready()
    operator = scene.operators.pop()
    await operator.kill()
    scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await scene.operator()
    await scene.until_ready(reason="Stopped")
    assert scene.hosts["a"].running[guest_id()].desired == "Stopped"


async def test_a_deleted_namespace_of_a_host_destroys_nothing(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    await settled(lambda: len(scene.api.writes()))
    scene.api.store.delete(scene.api.store.kind("namespaces"), ("", "host-a"))
    await settled(lambda: len(scene.api.calls), for_s=0.3)
    ready = scene.condition("Ready")
    assert ready is not None
    assert ready.status == "True"
    assert scene.hosts["a"].destroyed == []
    scene.api.create(NAMESPACES, {"metadata": {"name": "host-a"}})
    # It is tried again after a back-off.
    await eventually(
        lambda: [each.status.outcome for each in scene.assignments()] == ["Accepted"], deadline_s=60
    )
    await settled(lambda: len(scene.api.calls))
    assert scene.hosts["a"].destroyed == []


async def test_a_host_with_a_new_store_gets_its_orders_anew(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    host = scene.hosts["a"]
    host.store_id = "store-2"
    host.records.clear()
    scene.patch_status(HOSTS, "a", {"storeId": "store-2"})
    await eventually(lambda: host.running[guest_id()].store_id == "store-2")


async def test_an_order_is_made_again_though_the_secret_is_gone(scene: GuestScene) -> None:
    """The host has its copy of the user data; the guest has long booted."""
    scene.furnish_user_data()
    scene.add_guest(spec={"userData": {"secretName": "mine"}})
    await scene.until_ready()
    scene.api.delete(SECRETS, "mine", namespace="default")
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await scene.until_ready(reason="Stopped")
    scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
    scene.patch_guest({"spec": {"power": "Running"}})
    await scene.until_ready()
    assert scene.hosts["a"].running[guest_id()].user_data_digest == digest_of(b"#cloud-config")
    assert scene.condition("Stalled") is None


async def test_a_running_guest_stays_ready_and_stalls_where_nothing_of_its_data_is_left(
    scene: GuestScene,
) -> None:
    scene.furnish_user_data()
    scene.add_guest(spec={"userData": {"secretName": "mine"}})
    await scene.until_ready()
    scene.api.delete(SECRETS, "mine", namespace="default")
    scene.api.delete(SECRETS, f"user-data-{guest_id()}", namespace="host-a")
    scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
    await eventually(lambda: scene.condition("Stalled"))
    ready, stalled = scene.condition("Ready"), scene.condition("Stalled")
    assert ready is not None
    assert (ready.status, ready.reason) == ("True", "Running")
    assert stalled is not None
    assert stalled.reason == "UserDataNotFound"


async def test_a_deleted_image_changes_nothing_for_who_runs_it(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.api.delete(IMAGES, "debian", namespace="default")
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await scene.until_ready(reason="Stopped")
    image = scene.hosts["a"].running[guest_id()].image
    assert image is not None
    assert image.digest == DIGEST


async def test_an_image_that_is_ready_no_more_holds_up_new_guests_and_no_bound_one(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    changed = objects.ready("False", "DigestMismatch", "the source changed: another digest")
    scene.patch_status(IMAGES, "debian", {"conditions": [changed]}, namespace="default")
    # Each kind has its watch: a guest made at once may be seen before what was said of its image.
    seen = scene.operators[0].subset.images
    await eventually(lambda: seen["default", "debian"].status.conditions[0].reason == "DigestMismatch")
    scene.add_guest("late", number=2)
    resolved = await eventually(lambda: scene.condition("ImageResolved", "late"))
    assert resolved is not None
    assert resolved.reason == "ImageFailed"
    assert "the source changed" in resolved.message
    for power, reason in (("Stopped", "Stopped"), ("Running", "Running")):
        scene.patch_guest({"spec": {"power": power}})
        await scene.until_ready(reason=reason)
    scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
    made_again = [(4, "Accepted")]
    await eventually(
        lambda: [(each.spec.serial, each.status.outcome) for each in scene.assignments()] == made_again
    )
    await settled(lambda: len(scene.api.calls))
    await scene.until_ready()
    image = scene.hosts["a"].running[guest_id()].image
    assert image is not None
    assert image.digest == DIGEST
    scene.patch_status(IMAGES, "debian", {"conditions": [objects.ready()]}, namespace="default")
    await scene.until_ready("late")


async def test_what_a_pool_tells_its_guests_reaches_those_that_run(scene: GuestScene) -> None:
    for number in (1, 2, 3):
        scene.add_guest(f"web-{number}", number=number)
        await scene.until_ready(f"web-{number}")
    scene.api.patch(IP_POOLS, "lab", {"spec": {"dns": ["10.7.0.6"], "mtu": 1400}})

    def told() -> bool:
        orders = [peek(each.spec.order) for each in scene.assignments()]
        assert [(each.serial, each.addresses[0].dns, each.addresses[0].mtu) for each in orders] == [
            (2, ["10.7.0.6"], 1400)
        ] * 3
        return True

    await eventually(told)
    scene.api.patch(IP_POOLS, "lab", {"spec": {"exclude": ["10.7.0.2"]}})
    await settled(lambda: len(scene.api.calls))
    assert told(), "what no guest is told of changes no order"
