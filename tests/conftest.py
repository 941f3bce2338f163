"""What holds for every test."""

import asyncio

from hypothesis import settings

# Hypothesis gives an example 200 ms of wall-clock time: that measures the machine, not the product. All else stays as
# Hypothesis chose it, its profile for CI included. A conftest is read before the tests, and by each worker.
settings.register_profile("innkeeper", parent=settings.default, deadline=None)
settings.load_profile("innkeeper")

pytest_plugins = ["tests.kit.control_plane"]


def pytest_configure() -> None:
    """Say that there is no event loop yet.

    Without this, pytest-asyncio's first look for one makes a loop that nobody closes, and whichever test runs
    when it is collected fails with a ResourceWarning.
    """
    asyncio.set_event_loop(None)
