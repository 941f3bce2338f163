"""How kopf's settings keep it from writing into objects, and which objects count as handled."""

from typing import Any

import kopf
import pytest

from innkeeper.controllers.process import settings
from innkeeper.controllers.storage import SettledByStatus, is_settled


def an_object(
    kind: str, *, generation: int = 2, observed: int | None = 2, status: str = "True"
) -> dict[str, Any]:
    ready = {"type": "Ready", "status": status, "observedGeneration": observed}
    conditions = [] if observed is None else [ready]
    return {"kind": kind, "metadata": {"generation": generation}, "status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("body", "settled"),
    [
        ({"kind": "Cluster", "metadata": {"generation": 1}}, False),
        (an_object("Cluster", observed=None), False),
        (an_object("Cluster"), True),
        (an_object("Cluster", observed=1), False),
        (an_object("IPPool", status="False"), True),
        (an_object("Image", status="False"), False),
        (an_object("Image"), True),
    ],
)
def test_an_object_is_settled_by_its_own_status(body: dict[str, Any], settled: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_settled(body) is settled
    essence = SettledByStatus().fetch(body=kopf.Body(body))
    assert (essence is not None) is settled


def test_no_copy_of_the_spec_is_kept() -> None:
    patch = kopf.Patch()
    SettledByStatus().store(body=kopf.Body({}), patch=patch, essence={})
    assert not patch


def test_kopf_posts_no_events_scans_nothing_and_bounds_its_pauses() -> None:
    chosen = settings()
    assert not chosen.posting.enabled
    assert chosen.scanning.disabled
    assert chosen.peering.standalone
    assert max(chosen.queueing.error_delays) <= 30
    assert "zalando" not in chosen.persistence.finalizer
