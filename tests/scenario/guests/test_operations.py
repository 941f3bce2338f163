"""GuestOperations: ordered one at a time, told to their end, cancelled before and never undone after, and cleared up."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from innkeeper.domain.orders import peek
from innkeeper.kube.resources import ASSIGNMENTS, GUEST_OPERATIONS, HOSTS
from tests.kit.clock import ManualClock
from tests.kit.guest_scene import GuestScene, guest_scene
from tests.kit.objects import NAMESPACE, guest_id
from tests.kit.waiting import eventually, settled


@pytest.fixture
async def timed_scene() -> AsyncIterator[GuestScene]:
    """Give a scene whose clock, which the API server's times begin with, moves only when a test moves it."""
    async with guest_scene(clock=ManualClock(datetime.now(UTC))) as made:
        made.furnish()
        await made.operator()
        yield made


async def test_an_operation_travels_in_the_next_serial_and_is_told_to_its_end(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    uid = scene.operate("Reboot")
    found = await scene.until_phase("Succeeded", "Succeeded")
    assert scene.hosts["a"].done == [("Reboot", uid)]
    [assignment] = scene.assignments()
    assert (assignment.spec.serial, assignment.spec.desired) == (2, "Running")
    assert found.status.guest_id == guest_id()
    assert found.status.observed_generation == 1
    assert [each.name for each in found.status.steps] == ["Accepted", "Ordered", "Started", "Finished"]
    assert found.status.started_at is not None
    assert found.status.finished_at is not None
    assert [(each.type, each.status) for each in found.status.conditions] == [("Ready", "True")]
    await eventually(lambda: scene.operators[0].ended_operations == [("Reboot", "Succeeded")])


async def test_an_operation_that_is_over_costs_no_order_of_its_own(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.operate("Reboot")
    await scene.until_phase("Succeeded")
    await settled(scene.api.writes)
    assert scene.assignments()[0].spec.serial == 2
    scene.patch_guest({"spec": {"power": "Stopped"}})
    await scene.until_ready(reason="Stopped")
    assert scene.assignments()[0].spec.serial == 3
    assert len(scene.hosts["a"].done) == 1


async def test_operations_of_a_guest_are_done_one_at_a_time_the_oldest_first(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    host = scene.hosts["a"]
    host.operates = False
    first, second = scene.operate("Pause", "op-1"), scene.operate("Resume", "op-2")
    await scene.until_phase("Running", name="op-1")
    waits = await scene.until_phase("Pending", "WaitsItsTurn", name="op-2")
    assert "op-1" in waits.status.conditions[0].message
    assert host.done == [("Pause", first)]
    host.operates = True
    host.finish(first)
    host.look()
    await scene.until_phase("Succeeded", name="op-1")
    await scene.until_phase("Succeeded", name="op-2")
    assert host.done == [("Pause", first), ("Resume", second)]


async def test_operations_of_two_guests_do_not_wait_for_each_other(scene: GuestScene) -> None:
    scene.add_guest("web")
    scene.add_guest("db", number=2)
    await scene.until_ready("web")
    await scene.until_ready("db")
    scene.hosts["a"].operates = False
    scene.operate("Reboot", "one", guest="web")
    await scene.until_phase("Running", name="one")
    scene.hosts["a"].operates = True
    scene.operate("Reboot", "other", guest="db")
    await scene.until_phase("Succeeded", name="other")


async def test_a_failure_at_the_host_is_told_as_it_is(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    host = scene.hosts["a"]
    host.operates = False
    uid = scene.operate("Reboot")
    await scene.until_phase("Running")
    host.finish(uid, reason="StartFailed", message="the machine does not start")
    host.look()
    found = await scene.until_phase("Failed", "StartFailed")
    assert [each.message for each in found.status.conditions] == ["the machine does not start"] * 2
    assert [each.type for each in found.status.conditions] == ["Ready", "Stalled"]


async def test_what_is_deleted_before_it_was_ordered_is_cancelled(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.hosts["a"].operates = False
    first = scene.operate("Reboot", "op-1")
    await scene.until_phase("Running", name="op-1")
    scene.operate("HardReboot", "op-2")
    await scene.until_phase("Pending", "WaitsItsTurn", name="op-2")
    scene.api.delete(GUEST_OPERATIONS, "op-2", namespace=NAMESPACE)
    scene.hosts["a"].finish(first)
    scene.hosts["a"].look()
    await scene.until_phase("Succeeded", name="op-1")
    await settled(scene.api.writes)
    assert scene.hosts["a"].done == [("Reboot", first)]


async def test_what_is_deleted_after_it_was_ordered_is_not_undone(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.hosts["a"].operates = False
    first = scene.operate("Reboot", "op-1")
    await scene.until_phase("Running", name="op-1")
    scene.api.delete(GUEST_OPERATIONS, "op-1", namespace=NAMESPACE)
    second = scene.operate("Reboot", "op-2")
    await settled(scene.api.writes)
    assert scene.hosts["a"].done == [("Reboot", first)], "the next one waits for its end"
    scene.hosts["a"].operates = True
    scene.hosts["a"].finish(first)
    scene.hosts["a"].look()
    await scene.until_phase("Succeeded", name="op-2")
    assert scene.hosts["a"].done == [("Reboot", first), ("Reboot", second)]


async def test_a_guest_that_is_off_on_purpose_is_not_rebooted(scene: GuestScene) -> None:
    scene.add_guest(spec={"power": "Stopped"})
    await scene.until_ready(reason="Stopped")
    scene.operate("Reboot")
    found = await scene.until_phase("Failed", "GuestStopped")
    assert "set spec.power to Running" in found.status.conditions[0].message
    assert scene.hosts["a"].done == []


async def test_an_operation_waits_for_a_guest_that_is_not_up_yet(scene: GuestScene) -> None:
    scene.hosts["a"].hears = False
    scene.add_guest()
    scene.operate("Pause")
    await scene.until_phase("Pending", "WaitsForGuest")
    scene.hosts["a"].hears = True
    scene.hosts["a"].look()
    await scene.until_phase("Succeeded")
    assert len(scene.hosts["a"].done) == 1


async def test_an_operation_waits_for_a_host_that_is_silent(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.hear_host("a", heard=False)
    await scene.until_reason("HostUnreachable")
    scene.operate("Reboot")
    found = await scene.until_phase("Pending", "WaitsForGuest")
    assert "host a is not heard" in found.status.conditions[0].message
    assert scene.assignments()[0].spec.serial == 1
    scene.hear_host("a", heard=True)
    await scene.until_phase("Succeeded")


async def test_the_guest_of_an_operation_may_be_applied_just_after_it(scene: GuestScene) -> None:
    scene.operate("Reboot")
    await scene.until_phase("Pending", "GuestNotFound")
    scene.add_guest()
    await scene.until_phase("Succeeded")


@pytest.mark.parametrize(
    ("guests", "pending", "waits_s", "reason"),
    [([], "GuestNotFound", 11, "GuestNotFound"), (["web"], "WaitsForGuest", 601, "GuestNotRunning")],
)
async def test_an_operation_does_not_wait_for_ever(
    timed_scene: GuestScene, guests: list[str], pending: str, waits_s: float, reason: str
) -> None:
    scene = timed_scene
    scene.hosts["a"].hears = False
    for name in guests:
        scene.add_guest(name)
    scene.operate("Reboot")
    await scene.until_phase("Pending", pending)
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(waits_s)
    found = await scene.until_phase("Failed", reason)
    assert "again" in found.status.conditions[0].message
    scene.hosts["a"].hears = True
    scene.hosts["a"].look()
    await settled(scene.api.writes)
    assert scene.hosts["a"].done == [], "what was called failed is never done"


@pytest.mark.parametrize("off_by", [timedelta(hours=1), timedelta(hours=-1)], ids=["ahead", "behind"])
@pytest.mark.parametrize(
    ("guests", "pending", "waits_s", "ends"),
    [([], "GuestNotFound", 11, "GuestNotFound"), (["web"], "WaitsForGuest", 601, "GuestNotRunning")],
)
async def test_a_clock_that_is_wrong_makes_no_wait_shorter_or_longer(
    timed_scene: GuestScene, guests: list[str], pending: str, waits_s: float, ends: str, off_by: timedelta
) -> None:
    scene, clock = timed_scene, timed_scene.clock
    assert isinstance(clock, ManualClock)
    clock.set_wall(datetime.now(UTC) + off_by)
    scene.hosts["a"].hears = False
    for name in guests:
        scene.add_guest(name)
    scene.operate("Pause")
    await scene.until_phase("Pending", pending)
    clock.advance(waits_s - 2)
    await settled(scene.api.writes)
    await scene.until_phase("Pending", pending)
    clock.advance(2)
    await scene.until_phase("Failed", ends)


@pytest.mark.parametrize(
    ("guests", "pending", "ends"),
    [([], "GuestNotFound", "GuestNotFound"), (["web"], "WaitsForGuest", "GuestNotRunning")],
)
async def test_an_operation_does_not_wait_for_ever_for_an_operator_that_restarts_often(
    timed_scene: GuestScene, guests: list[str], pending: str, ends: str
) -> None:
    scene, clock = timed_scene, timed_scene.clock
    assert isinstance(clock, ManualClock)
    scene.hosts["a"].hears = False
    for name in guests:
        scene.add_guest(name)
    scene.operate("Pause")
    await scene.until_phase("Pending", pending)
    for hours in (23, 2):
        await settled(scene.api.writes)
        found = scene.operation()
        assert found is not None
        assert found.status.phase == "Pending"
        await scene.operators.pop().kill()
        clock.advance(hours * 3600)
        await scene.operator()
    await scene.until_phase("Failed", ends)


async def test_an_operation_that_comes_again_under_its_name_waits_from_the_beginning(
    timed_scene: GuestScene,
) -> None:
    scene, clock = timed_scene, timed_scene.clock
    assert isinstance(clock, ManualClock)
    scene.operate("Pause")
    await scene.until_phase("Pending", "GuestNotFound")
    clock.advance(9)
    scene.api.delete(GUEST_OPERATIONS, "op", namespace=NAMESPACE)
    scene.operate("Pause")
    await scene.until_phase("Pending", "GuestNotFound")
    clock.advance(9)
    await settled(scene.api.writes)
    await scene.until_phase("Pending", "GuestNotFound")
    clock.advance(2)
    await scene.until_phase("Failed", "GuestNotFound")


async def test_an_operation_ends_with_its_guest(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.hosts["a"].operates = False
    scene.operate("Reboot", "begun")
    scene.operate("Reboot", "waiting")
    await scene.until_phase("Running", name="begun")
    scene.delete_guest()
    await scene.until_gone()
    await scene.until_phase("Failed", "GuestDeleted", name="begun")
    await scene.until_phase("Failed", "GuestDeleted", name="waiting")


async def test_an_operation_is_never_done_to_a_later_guest_of_the_same_name(scene: GuestScene) -> None:
    scene.hosts["a"].hears = False
    scene.add_guest()
    scene.operate("Reboot")
    await scene.until_phase("Pending", "WaitsForGuest")
    operator = scene.operators.pop()
    await operator.kill()
    scene.hosts["a"].hears = True
    scene.api.store.admission.clear()
    scene.patch_guest({"metadata": {"finalizers": None}})
    scene.delete_guest()
    scene.add_guest(number=2)
    await scene.operator()
    await scene.until_phase("Failed", "GuestDeleted")
    assert scene.hosts["a"].done == []


async def test_an_operation_ends_with_a_host_that_is_lost(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.hosts["a"].operates = False
    scene.operate("Reboot")
    await scene.until_phase("Running")
    scene.api.patch(HOSTS, "a", {"spec": {"lost": "burnt"}})
    await scene.until_phase("Failed", "HostLost")


async def test_an_operation_ends_where_its_guest_was_taken_off_its_host(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    host = scene.hosts["a"]
    host.hears = False
    scene.operate("Reboot")
    await scene.until_phase("Pending", "Ordered")
    scene.operate("Pause", name="next")
    await scene.until_phase("Pending", "WaitsItsTurn", name="next")
    host.hears = True
    host.forget(guest_id(), by="alice")
    await scene.until_phase("Failed", "GuestGone")
    await scene.until_phase("Failed", "GuestGone", name="next")
    assert host.done == []
    await scene.until_reason("ForgottenAtHost")
    assert scene.condition("Stalled") is not None


async def test_an_assignment_that_is_made_again_carries_what_was_ordered(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    host = scene.hosts["a"]
    host.operates = False
    uid = scene.operate("Reboot")
    await scene.until_phase("Running")
    scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
    await eventually(lambda: len(scene.assignments()) == 1)
    carried = peek(scene.assignments()[0].spec.order).operation
    assert carried is not None
    assert carried.id == uid
    host.finish(uid)
    host.look()
    await scene.until_phase("Succeeded")
    assert host.done == [("Reboot", uid)]


async def test_an_operation_is_deleted_some_time_after_its_end(timed_scene: GuestScene) -> None:
    scene = timed_scene
    scene.add_guest()
    await eventually(lambda: bool(scene.hosts["a"].running))
    scene.operate("Reboot", ttlSecondsAfterFinished=60)
    await scene.until_phase("Succeeded")
    assert isinstance(scene.clock, ManualClock)
    found = scene.operation()
    assert found is not None
    scene.clock.advance(50)
    await settled(scene.api.writes)
    assert scene.operation() is not None
    scene.clock.advance(11)
    await eventually(lambda: scene.operation() is None)
