"""Kills an operator at one of its writes: right before it, or right after it, when its answer never comes.

From then on the killed operator writes nothing more, though its tasks may still run until the test ends them.
"""

from collections.abc import Iterable

from tests.kit.fake_api import Call, CutError
from tests.kit.guest_scene import GuestScene
from tests.kit.waiting import eventually

MOMENTS = ("before", "after")


class Axe:
    """Falls at the `nth` write of a user that matches a pattern; `after` counts only those that were carried out."""

    def __init__(self, pattern: str, *, nth: int, moment: str, user: str) -> None:
        self.has_fallen = False
        self._pattern = pattern
        self._left = nth
        self._moment = moment
        self._user = user

    def __call__(self, call: Call, moment: str) -> None:
        """Look at one moment of one write, as `GuestScene.on_write` has it."""
        if call.user != self._user:
            return
        if self.has_fallen and moment == "before":
            raise CutError
        if moment == self._moment and call.matches(self._pattern):
            self._left -= 1
            if self._left == 0:
                self.has_fallen = True
                raise CutError


def steps(calls: Iterable[Call]) -> list[str]:
    """Return writes as patterns name them, without the objects' names."""
    return [
        f"{call.verb} {call.resource}/{call.subresource}"
        if call.subresource
        else f"{call.verb} {call.resource}"
        for call in calls
    ]


async def succeed(scene: GuestScene, axe: Axe) -> None:
    """Wait until the axe fell, end what it hit, and start an operator that remembers nothing."""
    await eventually(lambda: axe.has_fallen)
    await scene.operators.pop().kill()
    await scene.operator()
