"""Watches are cut again and again: nothing is missed."""

import pytest

from tests.kit.guest_scene import GuestScene


@pytest.fixture(name="scene")
async def _with_operator(scene: GuestScene) -> GuestScene:
    await scene.operator()
    return scene


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
