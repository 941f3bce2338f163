"""What an API server does on bad days: the way of a guest takes longer and ends the same."""

import pytest

from innkeeper.kube.resources import ASSIGNMENTS, FLAVORS, IP_ADDRESSES
from tests.faults.operator.axe import steps
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually, settled

BUILD = ("create ipaddresses *", "update guests/status *", "create assignments *")
DELETE = ("patch assignments *", "patch ipaddresses *", "patch guests *", "delete assignments *")


@pytest.fixture(name="scene")
async def _with_operator(scene: GuestScene) -> GuestScene:
    await scene.operator()
    return scene


async def assert_built_once(scene: GuestScene) -> None:
    """One address, one Assignment, and the guest Ready on its host."""
    found = await scene.until_ready()
    [held], [assignment] = scene.addresses(), scene.assignments()
    assert [each.address for each in found.status.addresses] == [held.spec.address]
    assert (assignment.spec.epoch, assignment.spec.serial) == (1, 1)
    assert list(scene.hosts["a"].running) == [guest_id()]
    assert scene.operators[0].subset.promises.count("a") == 1


@pytest.mark.parametrize("pattern", BUILD)
@pytest.mark.parametrize(("status", "times"), [(409, 1), (429, 1), (500, 2)])
async def test_a_write_of_a_build_is_refused(
    scene: GuestScene, pattern: str, *, status: int, times: int
) -> None:
    """409 on a create is said of an object that is not there: a lie, but no reason to stop."""
    fault = scene.api.faults.fail(pattern, status=status, times=times)
    scene.add_guest()
    await assert_built_once(scene)
    assert len(fault.met) == times


@pytest.mark.parametrize("pattern", BUILD)
async def test_the_answer_of_a_write_of_a_build_is_lost(scene: GuestScene, pattern: str) -> None:
    fault = scene.api.faults.cut(pattern, after=True)
    scene.add_guest()
    await assert_built_once(scene)
    assert fault.met


@pytest.mark.parametrize("pattern", DELETE)
async def test_a_write_of_a_deletion_fails_and_then_its_answer_is_lost(
    scene: GuestScene, pattern: str
) -> None:
    scene.add_guest()
    await scene.until_ready()
    scene.api.faults.fail(pattern, status=500)
    lost = scene.api.faults.cut(pattern, after=True)
    scene.delete_guest()
    await scene.until_gone()
    await eventually(lambda: not scene.addresses())
    assert lost.met
    assert scene.hosts["a"].destroyed == [guest_id()]
    await eventually(lambda: scene.operators[0].subset.promises.count("a") == 0)


async def test_a_storm_of_conflicts_ends(scene: GuestScene) -> None:
    fault = scene.api.faults.fail("patch *", status=409, times=3)
    scene.add_guest()
    await assert_built_once(scene)
    assert len(fault.met) == 3


async def test_a_throttled_operator_waits_as_long_as_it_is_told(
    frozen_scene: GuestScene, clock: ManualClock
) -> None:
    scene = frozen_scene
    await scene.operator()
    scene.api.faults.fail("create ipaddresses *", status=429, retry_after_s=17)
    scene.add_guest()
    await eventually(lambda: clock.wakes_in(17), deadline_s=60)
    clock.advance(16)
    await settled(lambda: len(scene.api.called("create ipaddresses")))
    assert clock.wakes_in(1)
    assert len(scene.api.called("create ipaddresses")) == 1
    clock.advance(1)
    await assert_built_once(scene)


async def test_a_write_that_is_always_refused_is_not_tried_in_a_hot_loop(
    frozen_scene: GuestScene, clock: ManualClock
) -> None:
    scene = frozen_scene
    await scene.operator()
    fault = scene.api.faults.fail("create ipaddresses *", status=500, times=None)
    scene.add_guest()
    for tries, pause_s in enumerate((0.25, 0.5, 1, 2, 4, 8), start=1):

        def waits(tries: int = tries, pause_s: float = pause_s) -> bool:
            return len(fault.met) == tries and clock.wakes_in(pause_s)

        await eventually(waits, deadline_s=60)
        if tries == 6:
            scene.api.faults.clear()
        clock.advance(pause_s)
    await assert_built_once(scene)


async def test_watches_that_drop_lose_nothing(scene: GuestScene) -> None:
    for number in range(1, 5):
        scene.add_guest(f"web-{number}", number=number)
        scene.api.faults.drop_watch()
    for number in range(1, 5):
        await scene.until_ready(f"web-{number}")
    assert len(scene.assignments()) == len(scene.addresses()) == 4
    for number in range(1, 5):
        scene.delete_guest(f"web-{number}")
        scene.api.faults.drop_watch()
    for number in range(1, 5):
        await scene.until_gone(f"web-{number}")
    assert scene.addresses() == []


async def test_what_happened_while_the_api_server_was_away_is_found_by_the_next_list(
    scene: GuestScene,
) -> None:
    """It comes back without its history, so each watch is answered with 410, and a list has to tell what is gone."""
    scene.add_guest("stays", number=1)
    scene.add_guest("goes", number=2)
    await scene.until_ready("stays")
    await scene.until_ready("goes")
    await scene.api.down()
    scene.api.delete(ASSIGNMENTS, guest_id(1), namespace="host-a")
    scene.delete_guest("goes")
    scene.add_guest("new", number=3)
    scene.api.create(FLAVORS, objects.flavor("large", memory="4Gi"))
    scene.add_guest("large", number=4, spec={"flavor": "large"})
    await scene.api.up()
    for name in ("stays", "new", "large"):
        await scene.until_ready(name)
    await eventually(lambda: scene.guest("goes") is None)
    await eventually(
        lambda: {each.metadata.name for each in scene.assignments()} == set(map(guest_id, (1, 3, 4)))
    )
    assert scene.hosts["a"].destroyed == [guest_id(2)]
    assert scene.operators[0].subset.promises.count("a") == 3


async def test_an_order_that_vanished_while_the_api_server_was_away_is_made_again(scene: GuestScene) -> None:
    scene.add_guest()
    await scene.until_ready()
    await scene.api.down()
    scene.api.delete(ASSIGNMENTS, guest_id(), namespace="host-a")
    await scene.api.up()
    await eventually(lambda: [each.status.outcome for each in scene.assignments()] == ["Accepted"])
    assert scene.hosts["a"].destroyed == []
    await scene.until_ready()


async def test_an_address_that_somebody_took_first_costs_one_more_try(scene: GuestScene) -> None:
    """The claim fails for an object that this operator's watch has not shown yet."""
    hold = scene.api.faults.hold("create ipaddresses *")
    scene.add_guest()
    await eventually(lambda: hold.met)
    for last in range(2, 7):
        if last != 4:
            scene.api.create(IP_ADDRESSES, objects.address(last, owner="another"))
    assert hold.gate is not None
    hold.gate.set()
    found = await scene.until_ready()
    assert [each.address for each in found.status.addresses] == ["10.7.0.4"]
    assert steps(scene.api.writes())[0] == "create ipaddresses"
