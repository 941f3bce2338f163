"""What the token of a host's agent can do, and what it cannot: the API server itself is asked."""

from typing import Any

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.errors import ForbiddenError
from innkeeper.kube.resources import ASSIGNMENTS, HOST_AGENTS, SECRETS
from tests.integration.operator import scene
from tests.kit.scripted_agent import ScriptedAgent

pytestmark = [pytest.mark.control_plane, pytest.mark.usefixtures("operator")]

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
IK = "innkeeper.dev"

# "group/resource[/subresource]" in its own namespace: the verbs that are allowed; all others must be refused.
OWN = {
    f"{IK}/assignments": "get list watch",
    f"{IK}/assignments/status": "update patch",
    f"{IK}/hostagents": "get list watch",
    f"{IK}/hostagents/status": "update patch",
    f"{IK}/guests": "",
    f"{IK}/images": "",
    "/secrets": "get",
    "/configmaps": "",
    "/serviceaccounts": "",
    "/serviceaccounts/token": "",
    "/pods": "",
    "/events": "create patch",
    "events.k8s.io/events": "create patch",
    "coordination.k8s.io/leases": "create",
    "rbac.authorization.k8s.io/roles": "",
    "rbac.authorization.k8s.io/rolebindings": "",
}
CLUSTER = (
    "guests",
    "hosts",
    "clusters",
    "ippools",
    "ipaddresses",
    "flavors",
    "images",
    "assignments",
    "hostagents",
)


async def _allowed(agent: ScriptedAgent, place: str | None, resource: str, verb: str, name: str = "") -> bool:
    group, plural, *sub = resource.split("/")
    attributes: dict[str, Any] = {"group": group, "resource": plural, "verb": verb, "name": name}
    attributes |= {"namespace": place or ""} | ({"subresource": sub[0]} if sub else {})
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    assert agent.client is not None
    return bool((await agent.client.post(REVIEWS, body))["status"]["allowed"])


async def test_an_agents_token_does_this_and_no_more(admin: Client, name: str) -> None:
    await scene.infrastructure(admin, name)
    async with ScriptedAgent(admin, name) as agent:
        await agent.join()
        for resource, verbs in OWN.items():
            found = [verb for verb in VERBS if await _allowed(agent, agent.namespace, resource, verb)]
            assert found == [verb for verb in VERBS if verb in verbs.split()], resource
        lease = "coordination.k8s.io/leases"
        found = [verb for verb in VERBS if await _allowed(agent, agent.namespace, lease, verb, "heartbeat")]
        assert found == ["get", "create", "update", "patch"]
        token = "/serviceaccounts/token"
        found = [verb for verb in VERBS if await _allowed(agent, agent.namespace, token, verb, "agent")]
        assert found == ["create"]
        for resource in (*OWN, "/namespaces"):
            for verb in VERBS:
                assert not await _allowed(agent, "default", resource, verb), f"{verb} {resource} elsewhere"
        for plural in (*CLUSTER, "guests/status", "hosts/status"):
            for verb in VERBS:
                assert not await _allowed(agent, None, f"{IK}/{plural}", verb), f"{verb} {plural} everywhere"


async def test_an_agent_cannot_change_its_own_orders_or_read_another_hosts(admin: Client, name: str) -> None:
    """Real calls, not reviews: the second host is the victim."""
    other = f"{name}b"
    await scene.infrastructure(admin, name)
    await scene.infrastructure(admin, other)
    async with ScriptedAgent(admin, name) as agent, ScriptedAgent(admin, other) as victim:
        await agent.join()
        await victim.join()
        assert agent.client is not None
        with pytest.raises(ForbiddenError):
            await agent.client.patch(
                HOST_AGENTS, "host", {"spec": {"allowEmulation": True}}, namespace=agent.namespace
            )
        with pytest.raises(ForbiddenError):
            await agent.client.get(HOST_AGENTS, "host", namespace=victim.namespace)
        with pytest.raises(ForbiddenError):
            await agent.client.get(SECRETS, "agent-join", namespace=victim.namespace)
        with pytest.raises(ForbiddenError):
            await agent.client.list(SECRETS, namespace=agent.namespace)
        with pytest.raises(ForbiddenError):
            await agent.client.list(ASSIGNMENTS)
        agent.namespace = victim.namespace
        with pytest.raises(ForbiddenError):
            await agent.beat()
