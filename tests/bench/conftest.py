"""Every test of a bench runs alone: what runs beside it would change what it measures.

That holds for counts too: work that takes long is reported on, so more is written. `make test` runs what carries the
marker `alone` at its end, one test after another.
"""

from pathlib import Path

import pytest

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that lies in this folder, so that no bench is forgotten."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.alone)
