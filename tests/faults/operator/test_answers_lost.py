"""A write is carried out and its answer is lost: the way of a guest ends the same."""

import pytest

from tests.faults.operator.building import BUILD, assert_built_once
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually

DELETE = ("patch assignments *", "patch ipaddresses *", "patch guests *", "delete assignments *")


@pytest.fixture(name="scene")
async def _with_operator(scene: GuestScene) -> GuestScene:
    await scene.operator()
    return scene


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
