"""A furnished scene with one operator."""

from collections.abc import AsyncIterator

import pytest

from tests.kit.guest_scene import GuestScene, guest_scene


@pytest.fixture
async def scene() -> AsyncIterator[GuestScene]:
    """Give flavor, image, pool, one host, and an operator that works."""
    async with guest_scene() as made:
        made.furnish()
        await made.operator()
        yield made
