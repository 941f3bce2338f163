"""How far the operator's identity reaches: its own code does its work with it, and a thief of it does nothing else.

All is asked with the operator's rights as they are installed. RBAC lets each refused case pass; a policy does not.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from innkeeper.domain import names
from innkeeper.domain.orders import digest_of
from innkeeper.domain.rebuild import documents
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import ForbiddenError, NotFoundError
from innkeeper.kube.resources import GUESTS, NAMESPACES, ROLE_BINDINGS, ROLES, SECRETS, SERVICE_ACCOUNTS
from innkeeper.processes.operator import LEASE_NAME
from innkeeper.processes.order_key import SECRET_NAME, KeySource, load_order_keys
from innkeeper.views.guest import Guest
from innkeeper.workers.hosts.identity import AGENT_RULES
from innkeeper.workers.hosts.statuses import PULSE_LEASE
from innkeeper.workers.userdata import UserDataWorker
from tests.integration.api.conftest import Answer, Server
from tests.integration.api.objects import OPERATOR, good
from tests.kit import host_identities as identities
from tests.kit.install import CHART_FILES, kubeconfig_of
from tests.kit.objects import guest, guest_id, view
from tests.kit.waiting import eventually

pytestmark = pytest.mark.control_plane

HOST, SYSTEM, ELSEWHERE = "host-reach", names.SYSTEM_NAMESPACE, "reach-account"
ROOTS = {
    "secrets": "/api/v1",
    "serviceaccounts": "/api/v1",
    "roles": "/apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "guests": "/apis/innkeeper.dev/v1alpha1",
}
LABEL = {"metadata": {"labels": {"reach": "further"}}}


def named(name: str, **content: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, **content}


def token_of(account: str, *, name: str) -> dict[str, Any]:
    """Return a Secret that Kubernetes itself fills in with a token of an account."""
    metadata = {"name": name, "annotations": {"kubernetes.io/service-account.name": account}}
    return {"metadata": metadata, "type": "kubernetes.io/service-account-token"}


def binding(name: str, role: str, subject: dict[str, str]) -> dict[str, Any]:
    group, kind = "rbac.authorization.k8s.io", "Role" if role == "agent" else "ClusterRole"
    return named(name, roleRef={"apiGroup": group, "kind": kind, "name": role}, subjects=[subject])


def account(namespace: str, name: str = "agent") -> dict[str, str]:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def a_guest(name: str) -> dict[str, Any]:
    body = good("Guest", name)
    return {**body, "metadata": {**body["metadata"], "namespace": ELSEWHERE}}


PERSON = {"kind": "User", "name": "stranger", "apiGroup": "rbac.authorization.k8s.io"}
ROLE = named("agent", rules=AGENT_RULES)

# By the words of the refusal: the verb, the resource, the namespace (of a namespace: its name), and what is sent, or the
# name of what is there already.
REFUSED: dict[str, list[tuple[str, str, str, dict[str, Any] | str]]] = {
    "the operator writes Secrets user-data-... in namespaces host-..., and makes its order key": [
        (
            "create",
            "secrets",
            "kube-system",
            token_of("clusterrole-aggregation-controller", name="user-data-1"),
        ),
        ("create", "secrets", ELSEWHERE, named("user-data-1")),
        ("patch", "secrets", ELSEWHERE, "there"),
        ("delete", "secrets", ELSEWHERE, "there"),
        ("create", "secrets", SYSTEM, token_of("innkeeper-images", name="theirs")),
        ("patch", "secrets", SYSTEM, SECRET_NAME),
        ("delete", "secrets", SYSTEM, SECRET_NAME),
        ("create", "secrets", HOST, named(names.AGENT_JOIN_SECRET)),
    ],
    "the operator writes Secrets of the type Opaque only": [
        ("create", "secrets", HOST, token_of("agent", name="user-data-1")),
        ("create", "secrets", SYSTEM, token_of("innkeeper-operator", name=SECRET_NAME)),
        ("patch", "secrets", HOST, "user-data-token"),
    ],
    "the operator writes the RoleBinding agent in namespaces host-..., and no other": [
        ("create", "rolebindings", "kube-system", binding("agent", "innkeeper-operator", PERSON)),
        ("create", "rolebindings", ELSEWHERE, binding("agent", "agent", account(ELSEWHERE))),
        ("create", "rolebindings", HOST, binding("another", "agent", account(HOST))),
        ("patch", "rolebindings", ELSEWHERE, "agent"),
        ("delete", "rolebindings", ELSEWHERE, "agent"),
    ],
    "the operator binds the Role agent to the account agent of the same namespace, and nothing else": [
        ("create", "rolebindings", HOST, binding("agent", "innkeeper-operator", account(HOST))),
        ("create", "rolebindings", HOST, binding("agent", "agent", PERSON)),
        ("create", "rolebindings", HOST, binding("agent", "agent", account(ELSEWHERE))),
        ("create", "rolebindings", HOST, binding("agent", "agent", account(HOST, "default"))),
    ],
    "the operator changes and deletes namespaces host-... only": [
        ("patch", "namespaces", "kube-system", ""),
        ("patch", "namespaces", SYSTEM, ""),
        ("patch", "namespaces", ELSEWHERE, ""),
        ("delete", "namespaces", ELSEWHERE, ""),
        ("delete", "namespaces", SYSTEM, ""),
    ],
    "the operator writes the ServiceAccount and the Role agent in namespaces host-..., and no other": [
        ("create", "serviceaccounts", "kube-system", named("agent")),
        ("create", "serviceaccounts", HOST, named("another")),
        ("patch", "serviceaccounts", ELSEWHERE, "agent"),
        ("delete", "serviceaccounts", ELSEWHERE, "agent"),
        ("create", "roles", SYSTEM, ROLE),
        ("create", "roles", HOST, named("another", rules=AGENT_RULES)),
        ("patch", "roles", ELSEWHERE, "agent"),
    ],
    "the operator writes its own two Leases, and no other": [
        ("create", "leases", "kube-system", named("kube-scheduler")),
        ("create", "leases", SYSTEM, named("another")),
        ("create", "leases", HOST, named(names.HEARTBEAT_LEASE)),
        ("patch", "leases", ELSEWHERE, "there"),
    ],
    "the operator deletes Guests that it noted as destroyed, and no other": [
        ("delete", "guests", ELSEWHERE, "web"),
    ],
}
CASES = [(message, *case) for message, cases in REFUSED.items() for case in cases]


def path_of(resource: str, namespace: str, name: str = "") -> str:
    if resource == "namespaces":
        return f"/api/v1/namespaces/{namespace}"
    return f"{ROOTS[resource]}/namespaces/{namespace}/{resource}" + (f"/{name}" if name else "")


def ask(
    server: Server, case: tuple[str, str, str, dict[str, Any] | str], *, user: str | None = OPERATOR
) -> Answer:
    verb, resource, namespace, what = case
    if isinstance(what, dict):
        return server.request("POST", path_of(resource, namespace) + "?dryRun=All", what, user=user)
    path = path_of(resource, namespace, what) + "?dryRun=All"
    if verb == "delete":
        return server.request("DELETE", path, user=user)
    return server.request("PATCH", path, LABEL, user=user, content_type="application/merge-patch+json")


@pytest.fixture(scope="module", autouse=True)
def there(server: Server) -> Iterator[None]:
    """A host's namespace and an account's, with something in each for the operator to lay hands on."""
    made = [
        ("secrets", ELSEWHERE, named("there")),
        ("secrets", SYSTEM, named(SECRET_NAME)),
        (
            "secrets",
            HOST,
            named("user-data-token", type="kubernetes.io/basic-auth", stringData={"username": "a"}),
        ),
        ("serviceaccounts", ELSEWHERE, named("agent")),
        ("leases", ELSEWHERE, named("there")),
        ("roles", HOST, ROLE),
        ("roles", ELSEWHERE, ROLE),
        ("rolebindings", ELSEWHERE, binding("agent", "agent", account(ELSEWHERE))),
    ]
    for each in (HOST, ELSEWHERE):
        assert server.request("POST", "/api/v1/namespaces", named(each)).status == 201
    for resource, namespace, body in made:
        answer = server.request("POST", path_of(resource, namespace), body)
        assert answer.status == 201, answer.message
    web = a_guest("web")
    server.stored(web)
    yield
    server.discard(web)
    server.request("DELETE", path_of("secrets", SYSTEM, SECRET_NAME))
    for each in (HOST, ELSEWHERE):
        server.request("DELETE", path_of("namespaces", each))


@pytest.mark.parametrize("case", CASES, ids=[" ".join(map(str, case[1:4])) for case in CASES])
def test_who_took_the_operators_pod_gets_no_further(
    server: Server, case: tuple[str, str, str, str, dict[str, Any] | str]
) -> None:
    refused = ask(server, case[1:])
    assert refused.status == 403, refused.message
    assert case[0] in refused.message


def test_nobody_else_is_held_back(server: Server) -> None:
    """So namespaces and accounts go as ever, by the hands of Kubernetes and of people."""
    answers = [ask(server, case[1:], user=None) for case in CASES if case[2] != "rolebindings"]
    assert {each.status for each in answers} <= {200, 201, 409}, [each.message for each in answers]


def test_each_rule_has_a_refused_case() -> None:
    text = (CHART_FILES / "policies" / "operator-reach.yaml").read_text()
    policies = [each for each in yaml.safe_load_all(text) if each["kind"] == "ValidatingAdmissionPolicy"]
    rules = [rule["message"] for each in policies for rule in each["spec"]["validations"]]
    assert len(rules) == len(REFUSED)
    assert all(any(rule.startswith(message) for message in REFUSED) for rule in rules)


@pytest.fixture
async def admin(server: Server) -> AsyncIterator[Client]:
    async with Client(Credentials.from_kubeconfig(server.kubeconfig)) as client:
        yield client


@pytest.fixture
async def operator(server: Server, tmp_path: Path) -> AsyncIterator[Client]:
    """The operator's own token, and so all that is done with it is allowed by rights and policies both."""
    file = kubeconfig_of(
        server.kubeconfig,
        namespace=SYSTEM,
        service_account="innkeeper-operator",
        to=tmp_path / "operator.kubeconfig",
    )
    async with Client(Credentials.from_kubeconfig(file)) as client:
        yield client


async def test_the_operator_makes_keeps_and_ends_a_hosts_identity(admin: Client, operator: Client) -> None:
    host, place = "reach-life", "host-reach-life"
    await identities.make_identity(operator, host)
    for resource, name in ((SERVICE_ACCOUNTS, "agent"), (ROLES, "agent"), (ROLE_BINDINGS, "agent")):
        await operator.patch(resource, name, LABEL, namespace=place)
    await operator.patch(NAMESPACES, place, LABEL)
    worker, web = UserDataWorker(operator), view(guest("web"), Guest)
    for data in (b"#cloud-config\n", b"#cloud-config\nhostname: web\n"):
        await worker.carry(web, data, host=host)
    assert await worker.copied(guest_id(), host=host) == digest_of(data)
    await worker.remove(guest_id(), host=host)
    assert await worker.copied(guest_id(), host=host) is None
    await operator.delete(ROLE_BINDINGS, "agent", namespace=place)
    await operator.delete(SERVICE_ACCOUNTS, "agent", namespace=place)
    await operator.delete(NAMESPACES, place)
    await eventually(lambda: _is_gone(admin, place), deadline_s=120)


async def test_the_operator_makes_its_order_key_its_leases_and_namespaces_of_accounts(
    server: Server, admin: Client, operator: Client
) -> None:
    await admin.delete(SECRETS, SECRET_NAME, namespace=SYSTEM)
    await load_order_keys(operator, KeySource(SYSTEM))
    await operator.create(NAMESPACES, documents.namespace_document("reach-rebuilt"))
    with pytest.raises(ForbiddenError, match="namespaces host-"):
        await operator.delete(NAMESPACES, "reach-rebuilt")
    await admin.delete(NAMESPACES, "reach-rebuilt")
    for name in (LEASE_NAME, PULSE_LEASE):
        lease = server.request("POST", path_of("leases", SYSTEM) + "?dryRun=All", named(name), user=OPERATOR)
        assert lease.status == 201, lease.message


async def test_the_operator_deletes_a_guest_that_it_noted_as_destroyed(
    server: Server, operator: Client
) -> None:
    server.stored(a_guest("gone"))
    guest = await operator.patch(
        GUESTS,
        "gone",
        {"metadata": {"annotations": {names.DESTROYED_ANNOTATION: "1.2"}}},
        namespace=ELSEWHERE,
    )
    await operator.delete(GUESTS, "gone", namespace=ELSEWHERE, uid=guest.metadata.uid)
    await operator.patch(GUESTS, "gone", {"metadata": {"finalizers": []}}, namespace=ELSEWHERE)
    with pytest.raises(NotFoundError):
        await operator.get(GUESTS, "gone", namespace=ELSEWHERE)


async def _is_gone(admin: Client, namespace: str) -> bool:
    try:
        await admin.get(NAMESPACES, namespace)
    except NotFoundError:
        return True
    return False
