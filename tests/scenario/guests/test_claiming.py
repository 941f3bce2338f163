"""What a claim leaves behind in the operator's memory when it breaks off before its first call."""

import pytest

from innkeeper.domain.addressing.pool import number_of, understand
from innkeeper.kube.client import Client
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from innkeeper.views.network import IPPool
from innkeeper.workers.claiming import Claiming
from innkeeper.workers.shortage import Wanted
from tests.kit import objects
from tests.kit.fake_api import FakeApi
from tests.kit.objects import view


async def test_a_choice_that_breaks_leaves_no_claim_begun_and_no_address_taken() -> None:
    """The second wish is for what is no address; the first one was chosen by then."""
    pool = understand(view(objects.pool(), IPPool).spec)
    wanted = [
        Wanted(interface=f"eth{index}", name="lab", pool=pool, fixed=fixed, held=None)
        for index, fixed in enumerate(("10.7.0.4", "no address"))
    ]
    subset = Subset()
    async with FakeApi() as api, Client(api.credentials()) as client:
        with pytest.raises(ValueError, match="no address"):
            await Claiming(client, subset).claim(view(objects.guest(), Guest), wanted)
        assert api.calls == []
    assert subset.claims.count_of_namespace("lab", "default") == 0
    assert number_of("10.7.0.4")[1] not in subset.claims.taken(pool)
