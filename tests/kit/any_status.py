"""Objects with any generations and conditions, of the types that schemas ask for: for what judges objects by them."""

from typing import Any

from hypothesis import strategies as st

_TYPES = st.sampled_from(["Ready", "Stalled", "Reconciling", "Exhausted", "ready", ""])
_STATUSES = st.sampled_from(["True", "False", "Unknown", "", "true"])
_TEXTS = {"reason": st.just("So"), "message": st.text(max_size=9)}
_CONDITION = st.fixed_dictionaries({}, optional={"type": _TYPES, "status": _STATUSES, **_TEXTS})
_GENERATION = st.integers(-1, 3)


def _fields(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=optional)


OBJECTS = st.fixed_dictionaries(
    {
        "apiVersion": st.just("innkeeper.dev/v1alpha1"),
        "kind": st.just("Guest"),
        "metadata": _fields(
            generation=_GENERATION, deletionTimestamp=st.sampled_from(["", "2026-01-01T00:00:00Z"])
        ),
    },
    optional={"status": _fields(observedGeneration=_GENERATION, conditions=st.lists(_CONDITION, max_size=4))},
)
