"""Two operators: one works, the other knows everything already and takes over at once."""

import asyncio
import contextlib

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.lease import LeadershipLostError
from innkeeper.kube.resources import LEASES
from innkeeper.processes.operator import LEASE_NAME
from tests.integration.operator import scene
from tests.kit.operator_process import StubImageServer, an_operator, leads, running_operator
from tests.kit.scripted_agent import ScriptedAgent
from tests.kit.waiting import eventually

pytestmark = pytest.mark.control_plane


async def test_a_standby_does_nothing_until_it_leads_and_then_goes_on(
    admin: Client, operator_credentials: Credentials, images: StubImageServer, name: str
) -> None:
    async with contextlib.AsyncExitStack() as first, contextlib.AsyncExitStack() as second:
        leader = await first.enter_async_context(
            running_operator(operator_credentials, images_url=images.url)
        )
        await leads(leader)
        standby = await second.enter_async_context(
            running_operator(operator_credentials, images_url=images.url)
        )
        await scene.infrastructure(admin, name)
        await standby.watches.synced()
        await eventually(lambda: name in standby.subset.hosts, deadline_s=60)
        async with ScriptedAgent(admin, name) as agent:
            await agent.join()
            assert (leader.leading, standby.leading) == (True, False)
            await first.aclose()
            await leads(standby)
            await scene.guest(admin, name)
            order = await agent.run_guest()
            assert order.host == name


async def test_an_operator_that_loses_its_lease_ends(
    admin: Client, operator_credentials: Credentials, images: StubImageServer
) -> None:
    """It must not go on beside the one that took over."""
    async with Client(operator_credentials) as client:
        process = an_operator(client, images_url=images.url)
        task = asyncio.create_task(process.run())
        await leads(process)
        stolen = {"spec": {"holderIdentity": "a-thief", "leaseDurationSeconds": 1}}
        await admin.patch(LEASES, LEASE_NAME, stolen, namespace="innkeeper-system")
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(task, timeout=60)
    assert ended.group_contains(LeadershipLostError)
