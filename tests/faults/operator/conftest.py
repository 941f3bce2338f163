"""A furnished scene; each test starts its operators, whose users are `operator-1` and so on.

Whatever a test did, in the end every operator's subset promises what the API server's objects say.
"""

from collections.abc import AsyncIterator

import pytest

from tests.kit.guest_scene import GuestScene, guest_scene
from tests.kit.recount import subsets_agree


@pytest.fixture
async def scene() -> AsyncIterator[GuestScene]:
    """Give flavor, image, pool and one host; recount at the end."""
    async with guest_scene() as made:
        made.furnish()
        yield made
        made.api.faults.clear()
        await subsets_agree(made.api, *(each.subset for each in made.operators))
