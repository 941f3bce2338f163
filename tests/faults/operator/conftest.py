"""A furnished scene; each test starts its operators, whose users are `operator-1` and so on."""

from collections.abc import AsyncIterator

import pytest

from tests.kit.guest_scene import GuestScene, guest_scene


@pytest.fixture
async def scene() -> AsyncIterator[GuestScene]:
    """Give flavor, image, pool and one host."""
    async with guest_scene() as made:
        made.furnish()
        yield made
