"""A furnished scene; each test starts its operators, whose users are `operator-1` and so on.

Whatever a test did, in the end every operator's subset promises what the API server's objects say.
"""

from collections.abc import AsyncIterator

import pytest

from tests.kit.clock import ManualClock
from tests.kit.guest_scene import GuestScene, guest_scene
from tests.kit.recount import subsets_agree


@pytest.fixture
async def scene() -> AsyncIterator[GuestScene]:
    """Give flavor, image, pool and one host; recount at the end."""
    async with guest_scene() as made:
        made.furnish()
        yield made
        await _recounted(made)


@pytest.fixture
async def clock() -> ManualClock:
    """Give the clock of `frozen_scene`."""
    return ManualClock()


@pytest.fixture
async def frozen_scene(clock: ManualClock) -> AsyncIterator[GuestScene]:
    """Give the same, with a clock that stands still until a test moves it."""
    # A delay that no back-off has, so that a test knows by its seconds who waits.
    async with guest_scene(clock=clock, status_delay_s=5) as made:
        made.furnish()
        yield made
        await _recounted(made)


async def _recounted(made: GuestScene) -> None:
    made.api.faults.clear()
    await subsets_agree(made.api, *(each.subset for each in made.operators))
