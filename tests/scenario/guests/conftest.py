"""A furnished scene with one operator."""

from collections.abc import AsyncIterator

import pytest

from tests.kit.clock import ManualClock
from tests.kit.guest_scene import GuestScene, guest_scene


@pytest.fixture
async def scene() -> AsyncIterator[GuestScene]:
    """Give flavor, image, pool, one host, and an operator that works."""
    async with guest_scene() as made:
        made.furnish()
        await made.operator()
        yield made


@pytest.fixture
async def frozen_scene() -> AsyncIterator[GuestScene]:
    """Give the same, with a clock that stands still until a test moves it."""
    async with guest_scene(clock=ManualClock()) as made:
        made.furnish()
        await made.operator()
        yield made
