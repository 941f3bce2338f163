"""Our own checker of kstatus says what the real library says, whatever conditions an object has.

The library is a Go program, which needs what a control plane of Go programs needs. Fields of other types are left out,
since no API server keeps them. Real objects: see test_kstatus.py.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit import kstatus as library

from tests.kit.any_status import OBJECTS
from tests.kit.kstatus import status_of
from tests.kit.kstatus_library import judged

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900)]


@pytest.fixture(scope="session")
def program() -> Path:
    """The library's program."""
    return library.program()


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(documents=st.lists(OBJECTS, min_size=50, max_size=200))
def test_any_conditions(program: Path, documents: list[dict[str, Any]]) -> None:
    assert judged(program, documents) == [str(status_of(each)) for each in documents]
