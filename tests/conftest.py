"""What holds for every test."""

import asyncio

pytest_plugins = ["tests.kit.control_plane"]


def pytest_configure() -> None:
    """Say that there is no event loop yet.

    Without this, pytest-asyncio's first look for one makes a loop that nobody closes, and whichever test runs
    when it is collected fails with a ResourceWarning.
    """
    asyncio.set_event_loop(None)
