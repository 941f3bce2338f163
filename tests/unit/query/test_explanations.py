"""Explanations of many hosts: pages that miss none, only the hosts that are asked for, and others get their turn."""

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from innkeeper.kube.informer import Change, key_of
from innkeeper.query import documents
from innkeeper.state.subset import Subset
from innkeeper.views.catalog import Flavor, Image
from innkeeper.views.guest import Guest
from innkeeper.views.host import Host
from innkeeper.views.meta import View
from innkeeper.views.network import IPPool
from innkeeper.workers.explaining import Explainer
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.objects import NAMESPACE, guest_id, view
from tests.kit.queries import asked
from tests.kit.waiting import one_turn

HOSTS = [f"h{number:03}" for number in range(300)]
PATH = f"/apis/{documents.API_VERSION}/namespaces/{NAMESPACE}/guestviews/web/explanation"


def take(subset: Subset, document: dict[str, Any], kind: type[View]) -> None:
    made = view(document, kind)
    subset.apply(Change(key_of(made), None, made))


def bind(subset: Subset, name: str, host: str, *, number: int) -> None:
    """Have another guest fill half of a host."""
    half = {"cpu": "4", "memory": "8Gi", "disk": "10Gi"}
    status = {"host": host, "cluster": "lab", "epoch": 1, "resources": half}
    take(subset, objects.guest(name, number=number, status=status), Guest)


@pytest.fixture
def subset() -> Subset:
    found = Subset()
    for document, kind in (
        (objects.flavor(), Flavor),
        (objects.pool(), IPPool),
        (objects.image(), Image),
        (objects.guest(), Guest),
    ):
        take(found, document, kind)
    for name in HOSTS:
        take(found, objects.host(name), Host)
    return found


async def page(client: TestClient, **query: Any) -> dict[str, Any]:  # type: ignore[type-arg] # of aiohttp's own requests
    async with client.get(PATH, params=query) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = (await answer.json())["status"]
        return found


async def test_each_host_is_seen_once_though_guests_are_bound_between_pages(subset: Subset) -> None:
    seen: list[str] = []
    async with asked(subset, explainer=Explainer(subset, ManualClock())) as client:
        status = await page(client, limit=100)
        for number, host in enumerate(("h250", "h010", "h150"), start=10):
            seen += [each["host"] for each in status["verdicts"]]
            bind(subset, f"other-{number}", host, number=number)
            after = status.get("continue")
            if after is None:
                break
            status = await page(client, limit=100, **{"continue": after})
        assert "continue" not in status
    assert sorted(seen) == HOSTS
    assert (status["hosts"], status["fits"]) == (300, 300)


async def test_only_the_hosts_that_are_asked_for_are_told_of(subset: Subset) -> None:
    async with asked(subset, explainer=Explainer(subset, ManualClock())) as client:
        status = await page(client, host=["h299", "h007", "no-such-host"])
    assert [each["host"] for each in status["verdicts"]] == ["h007", "h299"]
    assert (status["hosts"], "continue" in status) == (300, False)


async def test_a_continue_that_no_page_ended_with_is_refused(subset: Subset) -> None:
    async with (
        asked(subset, explainer=Explainer(subset, ManualClock())) as client,
        client.get(PATH, params={"continue": "500"}) as answer,
    ):
        assert answer.status == 400


async def test_others_get_their_turn_and_find_every_promise_while_hosts_are_explained(subset: Subset) -> None:
    bind(subset, "web", "h000", number=1)
    turns: list[bool] = []
    explaining = asyncio.create_task(
        Explainer(subset, ManualClock()).explain(subset.guests[NAMESPACE, "web"], hosts=HOSTS)
    )
    while not explaining.done():
        turns.append(subset.promises.host_of(guest_id(1)) == "h000")
        await one_turn()
    assert len((await explaining).verdicts) == len(HOSTS)
    assert len(turns) > 4
    assert all(turns), "a promise was lifted for who looks meanwhile"
