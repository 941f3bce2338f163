"""The API server refuses (409, 429, 500), once or in storms: the way of a guest takes longer and ends the same."""

import pytest

from innkeeper.kube.resources import IP_ADDRESSES
from tests.faults.operator.axe import steps
from tests.faults.operator.building import BUILD, assert_built_once
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.guest_scene import GuestScene
from tests.kit.waiting import eventually, settled


@pytest.fixture(name="scene")
async def _with_operator(scene: GuestScene) -> GuestScene:
    await scene.operator()
    return scene


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
