"""Hosts' identities on a real API server without an operator, and pods on nodes that nobody runs.

What is made is what the operator makes: its own pure code says which objects.
"""

from typing import Any

from innkeeper.domain import names
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import AlreadyExistsError
from innkeeper.kube.resources import NAMESPACES, SECRETS, Resource
from innkeeper.kube.views import Named
from innkeeper.workers.hosts.identity import Known, missing

NODES = Resource("", "v1", "nodes", "Node", False, Named)
PODS = Resource("", "v1", "pods", "Pod", True, Named)
SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
NODE_AGENT = "innkeeper-agent"


async def make_identity(admin: Client, host: str) -> None:
    """Make what the operator makes of a Host, its HostAgent aside."""
    for write in missing(host, Known(), orders=None):
        await admin.create(write.resource, write.body or {}, namespace=write.namespace)


async def make_join_secret(admin: Client, host: str) -> None:
    """Make the Secret that tokens of a joined host are bound to."""
    body = {"metadata": {"name": names.AGENT_JOIN_SECRET}}
    await admin.create(SECRETS, body, namespace=names.host_namespace(host))


async def remove(admin: Client, *hosts: str) -> None:
    """Remove hosts' namespaces, and the nodes of the same names where there are some."""
    for host in hosts:
        await admin.delete(NAMESPACES, names.host_namespace(host))


async def make_pod(admin: Client, node: str) -> str:
    """Make a node and a pod of the node agents' account on it; return the pod's name."""
    await _create(admin, NODES, {"metadata": {"name": node}})
    spec = {
        "nodeName": node,
        "serviceAccountName": NODE_AGENT,
        "automountServiceAccountToken": False,
        "containers": [{"name": "agent", "image": "none"}],
    }
    body = {"metadata": {"name": f"agent-{node}"}, "spec": spec}
    await _create(admin, PODS, body, namespace=names.SYSTEM_NAMESPACE)
    return f"agent-{node}"


async def pod_token(admin: Client, pod: str | None) -> str:
    """Return what a kubelet projects into a pod: a token of the node agents' account; without a pod, a bare one."""
    path = f"/api/v1/namespaces/{names.SYSTEM_NAMESPACE}/serviceaccounts/{NODE_AGENT}/token"
    bound = {} if pod is None else {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod}}
    answer = await admin.post(path, {"spec": {"expirationSeconds": 3600, **bound}})
    return str(answer["status"]["token"])


def with_token(admin: Client, token: str) -> Client:
    """Return a client that shows a token."""
    known = admin.credentials
    return Client(Credentials(server=known.server, ca_data=known.ca_data, token=token))


async def who_am_i(client: Client) -> str:
    """Return the user that the API server takes a client for."""
    answer = await client.post(SELF, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    return str(answer["status"]["userInfo"]["username"])


async def _create(
    admin: Client, resource: Resource[Any], body: dict[str, Any], *, namespace: str | None = None
) -> None:
    try:
        await admin.create(resource, body, namespace=namespace)
    except AlreadyExistsError:
        return
