"""Guests are found by their ID: by who may see them, while they are there."""

import pytest

from innkeeper.kube.informer import Change
from innkeeper.kube.reviews import Deed
from innkeeper.query import documents
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from tests.kit import objects
from tests.kit.objects import NAMESPACE, guest_id, view
from tests.kit.queries import Anybody, asked

PATH = f"/apis/{documents.API_VERSION}/guestids/{guest_id(1)}"
GUEST = view(objects.guest("web", number=1, namespace=NAMESPACE), Guest)


@pytest.fixture
def subset() -> Subset:
    found = Subset()
    found.apply(Change((NAMESPACE, "web"), None, GUEST))
    return found


async def test_a_guest_is_found_by_its_id(subset: Subset) -> None:
    async with asked(subset) as client, client.get(PATH) as answer:
        assert (answer.status, (await answer.json())["metadata"]["name"]) == (200, "web")


async def test_a_guest_that_goes_while_rights_are_looked_up_is_not_found(subset: Subset) -> None:
    anybody = Anybody()

    def gone(deed: Deed) -> None:
        if deed.resource == "guestviews":
            subset.apply(Change((NAMESPACE, "web"), GUEST, None))

    anybody.meanwhile = gone
    async with asked(subset, anybody=anybody) as client, client.get(PATH) as answer:
        assert answer.status == 404
