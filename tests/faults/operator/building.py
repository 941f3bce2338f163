"""What a build of one guest is: the writes that it makes, and how it must end, whatever an API server does meanwhile."""

from tests.kit.guest_scene import GuestScene
from tests.kit.objects import guest_id

BUILD = ("create ipaddresses *", "update guests/status *", "create assignments *")


async def assert_built_once(scene: GuestScene) -> None:
    """One address, one Assignment, and the guest Ready on its host."""
    found = await scene.until_ready()
    [held], [assignment] = scene.addresses(), scene.assignments()
    assert [each.address for each in found.status.addresses] == [held.spec.address]
    assert (assignment.spec.epoch, assignment.spec.serial) == (1, 1)
    assert list(scene.hosts["a"].running) == [guest_id()]
    assert scene.operators[0].subset.promises.count("a") == 1
