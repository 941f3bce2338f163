"""What holds for every test.

pytest-timeout's limit is for the test's own work. What is set up for it and taken down after it may serve many tests, may
be waited for by another worker, and takes as long as the machine needs: each command has its own limit there, and the one
below ends whatever else hangs.
"""

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_timeout
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Hypothesis gives an example 200 ms of wall-clock time: that measures the machine, not the product. All else stays as
# Hypothesis chose it, its profile for CI included. A conftest is read before the tests, and by each worker.
settings.register_profile("innkeeper", parent=settings.default, deadline=None)
settings.load_profile("innkeeper")

pytest_plugins = ["tests.kit.control_plane"]

# Above the limits of all commands of a set-up together, so that the one that is slow is told.
SET_UP_S = 900
LAB_SET_UP_S = 1500


def pytest_configure() -> None:
    """Say that there is no event loop yet.

    Without this, pytest-asyncio's first look for one makes a loop that nobody closes, and whichever test runs
    when it is collected fails with a ResourceWarning.
    """
    asyncio.set_event_loop(None)


# What shares a lab goes to one worker of `--dist loadgroup`, in its order; the longest begins first. An emulated guest
# boots on one processor, so two labs suit two.
_HERE = Path(__file__).parent
_LABS = {
    "guests": _HERE / "e2e",
    "documents": _HERE / "docs",
    "cluster": _HERE / "e2e" / "cluster",
    "libvirt": _HERE / "e2e" / "drivers",
    "network": _HERE / "integration" / "host_network",
    "others": _HERE,
}


def _lab_of(path: Path) -> str:
    """Return the group of the innermost folder."""
    around = (name for name in _LABS if path.is_relative_to(_LABS[name]))
    return max(around, key=lambda name: len(_LABS[name].parts))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that need a lab in front, lab by lab."""
    ranks = {name: rank for rank, name in enumerate(_LABS)}

    def rank(item: pytest.Item) -> int:
        return len(ranks) if item.get_closest_marker("lab") is None else ranks[_lab_of(item.path)]

    items.sort(key=rank)


class _LabByLab(LoadScopeScheduling):
    """pytest-xdist's own groups put their names into the IDs of tests, which pytest 9.2 does not let it do."""

    def _split_scope(self, nodeid: str) -> str:
        return _lab_of(_HERE.parent / nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist too
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Have the tests of one lab in one worker."""
    return _LabByLab(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """End a set-up that hangs."""
    with _limited(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """End a tear-down that hangs."""
    with _limited(item):
        return (yield)


@contextmanager
def _limited(item: pytest.Item) -> Iterator[None]:
    seconds = SET_UP_S if item.get_closest_marker("lab") is None else LAB_SET_UP_S
    limit = pytest_timeout.Settings(
        timeout=seconds, method="signal", func_only=False, disable_debugger_detection=False
    )
    hooks = item.config.pluginmanager.hook
    hooks.pytest_timeout_set_timer(item=item, settings=limit)
    try:
        yield
    finally:
        hooks.pytest_timeout_cancel_timer(item=item)
