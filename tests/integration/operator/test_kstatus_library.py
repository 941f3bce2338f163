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

from tests.kit.kstatus import status_of
from tests.kit.kstatus_library import judged

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(900)]

TYPES = st.sampled_from(["Ready", "Stalled", "Reconciling", "Exhausted", "ready", ""])
STATUSES = st.sampled_from(["True", "False", "Unknown", "", "true"])
CONDITION = st.fixed_dictionaries(
    {}, optional={"type": TYPES, "status": STATUSES, "reason": st.just("So"), "message": st.text(max_size=9)}
)
GENERATION = st.integers(-1, 3)


def fields(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=optional)


SANE = st.fixed_dictionaries(
    {
        "apiVersion": st.just("innkeeper.dev/v1alpha1"),
        "kind": st.just("Guest"),
        "metadata": fields(
            generation=GENERATION, deletionTimestamp=st.sampled_from(["", "2026-01-01T00:00:00Z"])
        ),
    },
    optional={"status": fields(observedGeneration=GENERATION, conditions=st.lists(CONDITION, max_size=4))},
)


@pytest.fixture(scope="session")
def program() -> Path:
    """The library's program."""
    return library.program()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(SANE, min_size=50, max_size=200))
def test_any_conditions(program: Path, documents: list[dict[str, Any]]) -> None:
    assert judged(program, documents) == [str(status_of(each)) for each in documents]
