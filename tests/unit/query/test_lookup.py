"""Guests are found by their ID: by who may see them, while they are there."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp.test_utils import TestClient, TestServer

from innkeeper.kube.informer import Change
from innkeeper.kube.reviews import Deed
from innkeeper.query import documents
from innkeeper.query.server import QueryServer
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from tests.kit import objects
from tests.kit.clock import ManualClock
from tests.kit.objects import NAMESPACE, guest_id, view

PATH = f"/apis/{documents.API_VERSION}/guestids/{guest_id(1)}"
GUEST = view(objects.guest("web", number=1, namespace=NAMESPACE), Guest)


class Anybody:
    """Callers and their rights: whoever asks may do it; `meanwhile` happens while that is looked up."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[Deed], None] = lambda _deed: None

    async def user_of(self, _request: object) -> str:
        return "somebody"

    async def allows(self, _user: object, deed: Deed) -> bool:
        self.meanwhile(deed)
        return True


@pytest.fixture
def subset() -> Subset:
    found = Subset()
    found.apply(Change((NAMESPACE, "web"), None, GUEST))
    return found


@pytest.fixture
def anybody() -> Anybody:
    return Anybody()


@pytest.fixture
async def get(subset: Subset, anybody: Anybody) -> AsyncIterator[Callable[[], Awaitable[tuple[int, object]]]]:
    server = QueryServer(
        subset,
        callers=anybody,  # type: ignore[arg-type] # who asks matters here no more than what they may
        access=anybody,  # type: ignore[arg-type] # the same
        explainer=None,  # type: ignore[arg-type] # nobody asks for an explanation
        age_s=lambda: 0.0,
        version=lambda: "1",
        is_complete=lambda: True,
        clock=ManualClock(),
    )
    async with TestClient(TestServer(server.application())) as client:

        async def asked() -> tuple[int, object]:
            async with client.get(PATH) as answer:
                return answer.status, (await answer.json()).get("metadata", {}).get("name")

        yield asked


async def test_a_guest_is_found_by_its_id(get: Callable[[], Awaitable[tuple[int, object]]]) -> None:
    assert await get() == (200, "web")


async def test_a_guest_that_goes_while_rights_are_looked_up_is_not_found(
    get: Callable[[], Awaitable[tuple[int, object]]], subset: Subset, anybody: Anybody
) -> None:
    def gone(deed: Deed) -> None:
        if deed.resource == "guestviews":
            subset.apply(Change((NAMESPACE, "web"), GUEST, None))

    anybody.meanwhile = gone
    assert await get() == (404, None)
