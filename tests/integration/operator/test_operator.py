"""The whole operator against a real API server: what an admin, a user and an agent see."""

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.conditions import find
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import ForbiddenError, UnauthorizedError
from innkeeper.kube.resources import (
    ASSIGNMENTS,
    CLUSTERS,
    GUESTS,
    HOST_AGENTS,
    HOSTS,
    IMAGES,
    IP_ADDRESSES,
    IP_POOLS,
    NAMESPACES,
    ROLES,
)
from innkeeper.views.network import IPAddress, IPPool
from tests.integration.operator import scene
from tests.kit.operator_process import StubImageServer
from tests.kit.scripted_agent import ScriptedAgent
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.usefixtures("operator")]


async def test_a_guest_lives_and_goes(admin: Client, images: StubImageServer, name: str) -> None:
    """From manifest to signed order to Ready, and out again, with nothing left."""
    await scene.infrastructure(admin, name)
    async with ScriptedAgent(admin, name) as agent:
        await agent.join()
        await scene.ready(admin, HOSTS, name, reason="Ready")
        await scene.ready(admin, CLUSTERS, name, reason="Ready")
        await scene.ready(admin, IMAGES, name, reason="Ready")
        await scene.guest(admin, name)
        order = await agent.run_guest()
        assert (order.host, order.store_id, order.name) == (name, "store-1", name)
        assert order.image is not None
        assert order.image.url == f"{images.url}/v1/images/default/{name}"
        found = await scene.ready(admin, GUESTS, name, reason="Running")
        assert found.status.host == name

        async def counted() -> bool:
            pool = await admin.get(IP_POOLS, name)
            host = await admin.get(HOSTS, name)
            cluster = await admin.get(CLUSTERS, name)
            return (pool.status.used, host.status.guests, cluster.status.guests) == (1, 1, 1)

        await eventually(counted, deadline_s=20)
        await admin.delete(GUESTS, name, namespace="default")
        await agent.destroy_guest()
        await scene.gone(admin, GUESTS, name, namespace="default")
        await scene.gone(admin, ASSIGNMENTS, order.guest_id, namespace=agent.namespace)
    address = await admin.get(IP_ADDRESSES, f"{name}.{order.addresses[0].address}")
    assert address.spec.owner is None, "a released address rests without an owner"


async def test_a_deleted_namespace_comes_back_and_its_guest_is_ordered_again(
    admin: Client, name: str
) -> None:
    await scene.infrastructure(admin, name)
    async with ScriptedAgent(admin, name) as agent:
        await agent.join()
        await scene.ready(admin, IMAGES, name, reason="Ready")
        await scene.guest(admin, name)
        first = await agent.run_guest()
        await scene.ready(admin, GUESTS, name, reason="Running")
        before = await admin.get(NAMESPACES, agent.namespace)
        await admin.delete(NAMESPACES, agent.namespace)

        async def made_again() -> bool:
            found = await admin.get(NAMESPACES, agent.namespace)
            return found.metadata.uid != before.metadata.uid

        await eventually(lambda: scene.there(made_again), deadline_s=60)
        await agent.join()
        again = await agent.run_guest()
        assert (again.guest_id, again.desired) == (first.guest_id, "Running")
        assert again.addresses == first.addresses
        await scene.ready(admin, HOSTS, name, reason="Ready")
        await scene.ready(admin, GUESTS, name, reason="Running")


async def test_rights_that_somebody_widens_or_deletes_are_put_back(admin: Client, name: str) -> None:
    await scene.infrastructure(admin, name)
    async with ScriptedAgent(admin, name) as agent:
        await agent.join()
        right = (await admin.get(ROLES, "agent", namespace=agent.namespace)).rules
        wide = {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
        await admin.patch(ROLES, "agent", wide, namespace=agent.namespace)

        async def put_back() -> bool:
            return (await admin.get(ROLES, "agent", namespace=agent.namespace)).rules == right

        await eventually(put_back, deadline_s=60)
        await admin.delete(ROLES, "agent", namespace=agent.namespace)
        await eventually(lambda: scene.there(put_back), deadline_s=60)
        await admin.delete(HOST_AGENTS, "host", namespace=agent.namespace)
        await agent.join()


async def a_running_guest(admin: Client, agent: ScriptedAgent, name: str) -> None:
    """Have a host join, and a guest run there."""
    await agent.join()
    await scene.ready(admin, IMAGES, name, reason="Ready")
    await scene.guest(admin, name)
    await agent.run_guest()
    await scene.ready(admin, GUESTS, name, reason="Running")


async def test_a_lost_host_can_never_speak_again_and_can_be_let_go(admin: Client, name: str) -> None:
    """Its token is worth nothing; its guest can be deleted without it; the Host goes with its namespace."""
    await scene.infrastructure(admin, name)
    async with ScriptedAgent(admin, name) as agent:
        await a_running_guest(admin, agent, name)
        await admin.patch(HOSTS, name, {"spec": {"lost": "the machine burnt"}})
        await scene.ready(admin, HOSTS, name, reason="Lost")
        await scene.ready(admin, GUESTS, name, reason="HostLost")

        async def refused() -> bool:
            try:
                await agent.beat()
            except (UnauthorizedError, ForbiddenError):
                return True
            return False

        await eventually(refused, deadline_s=30)
    await admin.delete(GUESTS, name, namespace="default")
    await scene.gone(admin, GUESTS, name, namespace="default")
    await admin.delete(HOSTS, name)
    await scene.gone(admin, NAMESPACES, f"host-{name}")
    await scene.gone(admin, HOSTS, name)


async def test_a_deleted_host_waits_for_its_guests(admin: Client, name: str) -> None:
    await scene.infrastructure(admin, name)
    async with ScriptedAgent(admin, name) as agent:
        await agent.join()
        await scene.ready(admin, IMAGES, name, reason="Ready")
        await scene.guest(admin, name)
        await agent.run_guest()
        await admin.delete(HOSTS, name)
        host = await scene.ready(admin, HOSTS, name, reason="WaitsForAssignments")
        condition = find(host.status.conditions, "Ready")
        assert condition is not None
        assert "1 Assignment is left" in condition.message
        assert not host.status.schedulable
        await admin.delete(GUESTS, name, namespace="default")
        await agent.destroy_guest()
        await scene.gone(admin, HOSTS, name)
        await scene.gone(admin, NAMESPACES, agent.namespace)


async def test_an_image_is_not_taken_from_under_its_guests(admin: Client, name: str) -> None:
    """Its deletion waits, says for whom, lets nobody new have it, and ends with the last guest."""
    await scene.infrastructure(admin, name)
    async with ScriptedAgent(admin, name) as agent:
        await a_running_guest(admin, agent, name)
        await admin.delete(IMAGES, name, namespace="default")

        async def says_so() -> bool:
            found = await admin.get(IMAGES, name, namespace="default")
            in_use = find(found.status.conditions, "InUse")
            return in_use is not None and in_use.message.endswith(f"delete {name}")

        await eventually(says_so, deadline_s=20)
        await scene.guest(admin, f"{name}-late", of=name)

        async def refused() -> bool:
            found = await admin.get(GUESTS, f"{name}-late", namespace="default")
            resolved = find(found.status.conditions, "ImageResolved")
            return resolved is not None and "is being deleted" in resolved.message

        await eventually(refused, deadline_s=20)
        await admin.delete(GUESTS, name, namespace="default")
        await agent.destroy_guest()
        await scene.gone(admin, IMAGES, name, namespace="default")


async def test_a_pool_is_not_taken_from_under_its_guests(
    admin: Client, operator_credentials: Credentials, name: str
) -> None:
    """Its deletion waits, says for how many, gives nobody new an address, and ends while the last one rests."""
    await scene.infrastructure(admin, name)
    await admin.patch(IP_POOLS, name, {"spec": {"quarantine": "1h"}})
    async with ScriptedAgent(admin, name) as agent:
        await a_running_guest(admin, agent, name)
        await admin.delete(IP_POOLS, name)

        async def says_so() -> bool:
            found = await admin.get(IP_POOLS, name)
            in_use = find(found.status.conditions, "InUse")
            return in_use is not None and "guests hold 1 addresses" in in_use.message

        await eventually(says_so, deadline_s=60)
        await scene.guest(admin, f"{name}-late", of=name)

        async def refused() -> bool:
            found = await admin.get(GUESTS, f"{name}-late", namespace="default")
            assigned = find(found.status.conditions, "AddressesAssigned")
            return assigned is not None and "is being deleted" in assigned.message

        await eventually(refused, deadline_s=60)
        await admin.delete(GUESTS, name, namespace="default")
        await agent.destroy_guest()

        await scene.gone(admin, IP_POOLS, name)

        async def resting() -> list[IPAddress]:
            return [each for each in (await admin.list(IP_ADDRESSES)).items if each.spec.pool == name]

        [rests] = await resting()
        assert rests.spec.owner is None
        async with Client(operator_credentials) as operator:
            # Its pool's quarantine is not known any more, and the default is long.
            rested = {"spec": {"releasedAt": "2026-01-01T00:00:00Z"}}
            await operator.patch(IP_ADDRESSES, rests.metadata.name, rested)

        async def rests_no_more() -> bool:
            return not await resting()

        await eventually(rests_no_more, deadline_s=90)


async def test_an_image_becomes_ready_by_itself_when_its_trouble_ends(
    admin: Client, images: StubImageServer, operator_credentials: Credentials, name: str
) -> None:
    images.answers[name] = {
        "state": "Failed",
        "reason": "NotFound",
        "message": "404 at the source",
        "retryable": True,
    }  # fmt: skip - one answer
    await scene.image(admin, name)
    await scene.ready(admin, IMAGES, name, reason="NotFound")
    images.answers[name] = {"state": "Preparing", "progress": "37%"}
    found = await scene.ready(admin, IMAGES, name, reason="Preparing")
    assert found.status.progress == "37%"
    del images.answers[name]
    found = await scene.ready(admin, IMAGES, name, reason="Ready")
    assert (found.status.size, found.status.virtual_size, found.status.progress) == ("1024", "1048576", None)
    assert images.tokens == {f"Bearer {operator_credentials.bearer()}"}


async def test_a_ready_image_whose_source_changes_says_so_and_heals(
    admin: Client, images: StubImageServer, name: str
) -> None:
    await scene.image(admin, name)
    await scene.ready(admin, IMAGES, name, reason="Ready")
    images.answers[name] = {
        "state": "Failed",
        "reason": "SourceUnreachable",
        "message": "no answer in time",
        "retryable": True,
    }  # fmt: skip - one answer

    async def told() -> bool:
        found = await admin.get(IMAGES, name, namespace="default")
        types = {each.type: each.status for each in found.status.conditions}
        return types == {"Ready": "True", "SourceUnreachable": "True"}

    await eventually(told, deadline_s=20)
    images.answers[name] = {
        "state": "Failed",
        "reason": "DigestMismatch",
        "message": "the source changed",
        "retryable": True,
    }  # fmt: skip - one answer
    await scene.ready(admin, IMAGES, name, reason="DigestMismatch")
    assert any(each.get("known") for each in images.asked)
    del images.answers[name]
    await scene.ready(admin, IMAGES, name, reason="Ready")


async def test_a_pool_without_an_address_to_give_says_so(admin: Client, name: str) -> None:
    spec = {
        "cidr": "192.0.2.0/30",
        "addressSpace": name,
        "clusters": [name],
        "exclude": ["192.0.2.1", "192.0.2.2"],
    }
    await admin.create(IP_POOLS, {"metadata": {"name": name}, "spec": spec})

    async def exhausted(wanted: str) -> IPPool:
        pool = await admin.get(IP_POOLS, name)
        assert [each.status for each in pool.status.conditions if each.type == "Exhausted"] == [wanted]
        return pool

    await scene.ready(admin, IP_POOLS, name, reason="Ready")
    await eventually(lambda: exhausted("True"), deadline_s=60)
    await admin.patch(IP_POOLS, name, {"spec": {"exclude": ["192.0.2.1"]}})
    pool = await eventually(lambda: exhausted("False"), deadline_s=60)
    assert (pool.status.total, pool.status.free) == (1, 1)


async def test_a_host_waits_for_its_cluster(admin: Client, name: str) -> None:
    await admin.create(HOSTS, {"metadata": {"name": name}, "spec": {"cluster": name}})
    await scene.ready(admin, HOSTS, name, reason="ClusterNotFound")
    await admin.create(CLUSTERS, {"metadata": {"name": name}, "spec": {"network": {"bridge": "br7"}}})
    await scene.ready(admin, HOSTS, name, reason="NeverReported")

    async def ordered() -> bool:
        agent = await admin.get(HOST_AGENTS, "host", namespace=f"host-{name}")
        return agent.spec.network.bridge == "br7"

    await eventually(lambda: scene.there(ordered), deadline_s=60)
    await scene.ready(admin, CLUSTERS, name, reason="NoHostReady")
