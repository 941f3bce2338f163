"""Whose token an agent may ask for: the API server's own policies, asked with real tokens bound to real objects."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from innkeeper.agent.joining.sources import JOIN_SECRET, OwnRight, PodToken
from innkeeper.domain import names
from innkeeper.kube import tokens
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import ApiError, ForbiddenError, NotFoundError, UnauthorizedError
from innkeeper.kube.resources import SECRETS
from innkeeper.kube.tokens import BoundTo
from tests.integration.api.conftest import Server
from tests.integration.api.objects import OPERATOR
from tests.kit import host_identities as identities
from tests.kit.waiting import eventually

pytestmark = pytest.mark.control_plane

HOUR, MONTH = 3600, 30 * 24 * 3600


@dataclass(frozen=True)
class Scene:
    """Two hosts, each with a node of its name, a join Secret, and an agent's pod on the node."""

    admin: Client
    server: Server
    mine: str
    other: str

    async def pod_of(self, host: str) -> Client:
        """Return a client with the token of the agent's pod on a node."""
        pod = await identities.make_pod(self.admin, host)
        return identities.with_token(self.admin, await identities.pod_token(self.admin, pod))

    async def joined(self, host: str) -> Client:
        """Return a client with a token that an admin made for a host, bound to the host's join Secret."""
        token = await tokens.ask(self.admin, host=host, bound_to=JOIN_SECRET, lifetime_s=HOUR)
        return identities.with_token(self.admin, token.value)


@pytest.fixture
async def scene(server: Server) -> AsyncIterator[Scene]:
    async with Client(Credentials.from_kubeconfig(server.kubeconfig)) as admin:
        mine, other = (f"t{uuid.uuid4().hex[:8]}{end}" for end in ("a", "b"))
        for host in (mine, other):
            await identities.make_identity(admin, host)
            await identities.make_join_secret(admin, host)
        found = Scene(admin, server, mine, other)
        await eventually(lambda: _policies_are_in_force(found), deadline_s=60)
        yield found
        await identities.remove(admin, mine, other)


async def _policies_are_in_force(scene: Scene) -> bool:
    """Tell by one refusal of each policy; they come into force some moments after they were applied."""
    pod, joined = await scene.pod_of(scene.mine), await scene.joined(scene.mine)
    async with pod, joined:
        return (
            await _refused(pod, scene.mine, JOIN_SECRET)
            and await _refused(joined, scene.mine, BoundTo("Node", scene.mine))
            and _operator_asks(scene) == 403
        )


async def _refused(client: Client, host: str, bound_to: BoundTo) -> bool:
    try:
        await tokens.ask(client, host=host, bound_to=bound_to, lifetime_s=HOUR)
    except ForbiddenError as error:
        return "innkeeper.dev" in error.message
    except ApiError:
        return False
    return False


def _operator_asks(scene: Scene) -> int:
    path = f"/api/v1/namespaces/host-{scene.mine}/serviceaccounts/agent/token"
    return scene.server.request("POST", path, {"spec": {}}, user=OPERATOR).status


async def test_a_pods_token_becomes_the_identity_of_the_host_of_its_node(scene: Scene) -> None:
    async with await scene.pod_of(scene.mine) as pod:
        token = await PodToken(pod, node=scene.mine).ask()
    assert (token.expires - token.issued).total_seconds() == HOUR
    async with identities.with_token(scene.admin, token.value) as agent:
        assert await identities.who_am_i(agent) == f"system:serviceaccount:host-{scene.mine}:agent"
        with pytest.raises(NotFoundError):
            await agent.get(SECRETS, "none", namespace=names.host_namespace(scene.mine))
        with pytest.raises(ForbiddenError):
            await agent.get(SECRETS, "none", namespace=names.host_namespace(scene.other))


async def test_a_pod_cannot_become_another_host(scene: Scene) -> None:
    """The pod asks as our code does, and then binds the token to its own node, as a thief would."""
    async with await scene.pod_of(scene.mine) as pod:
        with pytest.raises(ForbiddenError, match=f"in the namespace host-{scene.mine}"):
            await PodToken(pod, node=scene.other).ask()
        with pytest.raises(ForbiddenError, match=f"in the namespace host-{scene.mine}"):
            await tokens.ask(pod, host=scene.other, bound_to=BoundTo("Node", scene.mine), lifetime_s=HOUR)


async def test_what_a_pod_gets_ends_soon_and_with_its_node(scene: Scene) -> None:
    node = BoundTo("Node", scene.mine)
    async with await scene.pod_of(scene.mine) as pod:
        with pytest.raises(ForbiddenError, match="at most 3600 seconds"):
            await tokens.ask(pod, host=scene.mine, bound_to=node, lifetime_s=HOUR + 1)
        with pytest.raises(ForbiddenError, match="own Node"):
            await tokens.ask(pod, host=scene.mine, bound_to=JOIN_SECRET, lifetime_s=HOUR)
        token = await PodToken(pod, node=scene.mine).ask()
    async with identities.with_token(scene.admin, token.value) as agent:
        with pytest.raises(ForbiddenError, match="makes no other"):
            await OwnRight(agent, host=scene.mine).ask()
        await scene.admin.delete(identities.NODES, scene.mine)
        await eventually(lambda: _is_over(agent), deadline_s=60)


async def test_a_token_that_no_pod_was_given_opens_nothing(scene: Scene) -> None:
    """Who may make tokens of the node agents' account, but runs no pod, gets no host by it."""
    token = await identities.pod_token(scene.admin, None)
    async with identities.with_token(scene.admin, token) as bare:
        with pytest.raises(ForbiddenError, match="names no node"):
            await PodToken(bare, node=scene.mine).ask()


async def test_a_pod_on_a_node_that_is_no_host_is_told_so(scene: Scene) -> None:
    async with await scene.pod_of("stranger") as pod:
        with pytest.raises(NotFoundError, match="is there a Host 'stranger'"):
            await PodToken(pod, node="stranger").ask()
    await scene.admin.delete(identities.NODES, "stranger")


async def test_a_host_that_joined_renews_its_own_token(scene: Scene) -> None:
    async with await scene.joined(scene.mine) as agent:
        token = await OwnRight(agent, host=scene.mine).ask()
    assert (token.expires - token.issued).total_seconds() == MONTH
    assert (token.namespace, token.account) == (f"host-{scene.mine}", "agent")
    assert token.secret is not None
    assert token.secret.name == names.AGENT_JOIN_SECRET


async def test_a_host_asks_for_no_other_token_than_its_own(scene: Scene) -> None:
    async with await scene.joined(scene.mine) as agent:
        with pytest.raises(ForbiddenError):
            await OwnRight(agent, host=scene.other).ask()
        with pytest.raises(ForbiddenError, match="Secret agent-join"):
            await tokens.ask(agent, host=scene.mine, bound_to=BoundTo("Node", scene.mine), lifetime_s=HOUR)
        path = f"/api/v1/namespaces/host-{scene.mine}/serviceaccounts/agent/token"
        with pytest.raises(ForbiddenError, match="Secret agent-join"):
            await agent.post(path, {"spec": {"expirationSeconds": HOUR}})
        with pytest.raises(ForbiddenError, match="30 days"):
            await tokens.ask(agent, host=scene.mine, bound_to=JOIN_SECRET, lifetime_s=MONTH + 1)


async def test_deleting_the_secret_ends_every_token_of_the_host(scene: Scene) -> None:
    """Also those that were made from the first one; and making the Secret again brings none of them back."""
    async with await scene.joined(scene.mine) as first:
        second = await OwnRight(first, host=scene.mine).ask()
        async with identities.with_token(scene.admin, second.value) as renewed:
            await identities.who_am_i(renewed)
            place = names.host_namespace(scene.mine)
            await scene.admin.delete(SECRETS, names.AGENT_JOIN_SECRET, namespace=place)
            await identities.make_join_secret(scene.admin, scene.mine)
            for each in (first, renewed):
                await eventually(lambda each=each: _is_over(each), deadline_s=60)  # type: ignore[misc] # mypy cannot infer a lambda with a default
    async with await scene.joined(scene.other) as other:
        await identities.who_am_i(other)


async def test_the_operator_grants_that_right_and_makes_no_token(scene: Scene) -> None:
    path = f"/api/v1/namespaces/host-{scene.mine}/serviceaccounts/agent/token"
    body = {"spec": {"boundObjectRef": JOIN_SECRET.reference()}}
    refused = scene.server.request("POST", path, body, user=OPERATOR)
    assert refused.status == 403
    assert "makes no token itself" in refused.message


async def _is_over(client: Client) -> bool:
    try:
        await identities.who_am_i(client)
    except UnauthorizedError:
        return True
    return False
