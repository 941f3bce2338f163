"""The API server is away and comes back without its history (410): the next list tells what happened, deletions too."""

import pytest

from innkeeper.kube.resources import ASSIGNMENTS, FLAVORS
from tests.kit import objects
from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id
from tests.kit.waiting import eventually


@pytest.fixture(name="scene")
async def _with_operator(scene: GuestScene) -> GuestScene:
    await scene.operator()
    return scene


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
