"""Lists of many guests: others get their turn meanwhile, and a namespace costs what it has itself."""

import asyncio
from typing import Any

import pytest

from innkeeper.kube.informer import Change, key_of
from innkeeper.query import documents
from innkeeper.query.ages import OLD_S, ViewAges
from innkeeper.query.server import GUESTS_AT_ONCE
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from innkeeper.workers.explaining import Explainer
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.objects import NAMESPACE, view
from tests.kit.queries import asked
from tests.kit.waiting import one_turn

BASE = f"/apis/{documents.API_VERSION}"
MANY = 3 * GUESTS_AT_ONCE
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}


def take(subset: Subset, name: str, *, namespace: str = NAMESPACE, number: int) -> None:
    guest = view(objects.guest(name, number=number, namespace=namespace), Guest)
    subset.apply(Change(key_of(guest), subset.guests.get(key_of(guest)), guest))


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how many guests were looked at, before each turn of the loop and after the last."""
    counts = [0]
    place = documents.place

    def counting(guest: Guest, order: str) -> Any:
        counts[-1] += 1
        return place(guest, order)

    monkeypatch.setattr(documents, "place", counting)
    return counts


async def test_others_get_their_turn_while_all_guests_are_listed(looked_at: list[int]) -> None:
    subset = Subset()
    for number in range(MANY):
        take(subset, f"g{number}", number=number)

    async def turns() -> None:
        while True:
            await one_turn()
            looked_at.append(0)

    async with asked(subset) as client:
        others = asyncio.create_task(turns())
        async with client.get(f"{BASE}/guestviews", params={"sortBy": "-age", "limit": 2}) as answer:
            listed = await answer.json()
        others.cancel()
    assert sum(looked_at) == MANY, "each guest is looked at once"
    assert max(looked_at) <= GUESTS_AT_ONCE
    assert listed["metadata"]["remainingItemCount"] == MANY - 2


async def test_a_list_of_a_namespace_looks_at_no_other_ones_guests(looked_at: list[int]) -> None:
    subset = Subset()
    for number in range(50):
        take(subset, f"g{number}", number=number, namespace="theirs")
    take(subset, "web", number=99)
    async with asked(subset) as client:
        async with client.get(f"{BASE}/namespaces/{NAMESPACE}/guestviews") as answer:
            assert [each["metadata"]["name"] for each in (await answer.json())["items"]] == ["web"]
        async with client.get(f"{BASE}/namespaces/empty/guestviews") as answer:
            assert (await answer.json())["items"] == []
    assert sum(looked_at) == 1
    web = subset.guests[NAMESPACE, "web"]
    subset.apply(Change(key_of(web), web, None))
    assert subset.guests_of_namespace(NAMESPACE) == []


@pytest.mark.parametrize(("age_s", "warns"), [(1.0, False), (OLD_S + 25, True)])
async def test_a_table_of_an_old_view_comes_with_a_warning(age_s: float, *, warns: bool) -> None:
    ages = ViewAges(of_guests=lambda: age_s, of_all=lambda: age_s)
    async with (
        asked(Subset(), ages=ages) as client,
        client.get(f"{BASE}/guestviews", headers=TABLE) as answer,
    ):
        assert (await answer.json())["kind"] == "Table"
        assert ('299 - "this view is 100 s old' in answer.headers.get("Warning", "")) is warns


async def test_an_explanation_is_as_old_as_what_was_heard_of_least() -> None:
    subset = Subset()
    take(subset, "web", number=1)
    ages = ViewAges(of_guests=lambda: 1.0, of_all=lambda: 300.0)
    path = f"{BASE}/namespaces/{NAMESPACE}/guestviews"
    async with asked(subset, explainer=Explainer(subset, ManualClock()), ages=ages) as client:
        async with client.get(f"{path}/web/explanation") as answer:
            assert (await answer.json())["status"]["viewAgeSeconds"] == 300.0
        async with client.get(path) as answer:
            assert (await answer.json())["viewAgeSeconds"] == 1.0
