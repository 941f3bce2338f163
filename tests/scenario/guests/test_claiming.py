"""What a claim leaves behind when it breaks off: in the operator's memory, and in the API server."""

import pytest

from innkeeper.domain.addressing.pool import number_of, understand
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.kube.client import Client
from innkeeper.kube.resources import IP_ADDRESSES
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from innkeeper.views.network import IPPool
from innkeeper.workers.claiming import Claiming
from innkeeper.workers.network import NetworkWorker
from innkeeper.workers.shortage import Wanted
from tests.kit import objects
from tests.kit.clock import ManualClock
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


async def test_only_what_the_call_made_is_freed_where_the_rest_is_taken() -> None:
    """What it found may be bound by now: an operator that was the leader wakes up in the middle of a claim."""
    pool = understand(view(objects.pool(), IPPool).spec)
    names = ("made", "found", "taken")
    wanted = [
        Wanted(interface=name, name="lab", pool=pool, fixed=f"10.7.0.{last}", held=None)
        for last, name in enumerate(names, start=3)
    ]
    interfaces = [{"name": name, "pool": "lab"} for name in names]
    guest = view(objects.guest(spec={"interfaces": interfaces}), Guest)
    async with FakeApi() as api, Client(api.credentials()) as client:
        found = objects.address(4)
        found["spec"]["owner"]["interface"] = "found"
        api.create(IP_ADDRESSES, found)
        api.create(IP_ADDRESSES, objects.address(5, owner="somebody"))
        answer = await NetworkWorker(client, Subset(), ManualClock()).claim(guest, wanted)
        assert isinstance(answer, Blocked)
        left = [each["spec"]["address"] for each in api.objects(IP_ADDRESSES)]
        assert (left, api.calls != []) == (["10.7.0.4", "10.7.0.5"], True)
