"""Who may do what by the roles that are installed: operator, image server, and people.

The API server itself is asked.
"""

from typing import Any

import pytest

from innkeeper.workers.hosts.identity import AGENT_RULES
from tests.integration.api.conftest import Server
from tests.integration.api.objects import HOST_NAMESPACE, OPERATOR

pytestmark = pytest.mark.control_plane

GROUP = "innkeeper.dev"
IMAGES = "system:serviceaccount:innkeeper-system:innkeeper-images"
PEOPLE = {"viewer": "view", "editor": "edit", "administrator": "admin", "host-admin": "innkeeper-admin"}
RBAC = "rbac.authorization.k8s.io"

# Each row: who, "group/resource/subresource", verbs that are allowed, verbs that are not.
RIGHTS = [
    (OPERATOR, f"{GROUP}/guests", "get list watch patch create delete", "deletecollection"),
    (OPERATOR, f"{GROUP}/guests/status", "patch", ""),
    (OPERATOR, f"{GROUP}/guests/force-delete", "", "update"),
    (OPERATOR, f"{GROUP}/guestoperations", "get list watch delete", "create patch deletecollection"),
    (OPERATOR, f"{GROUP}/guestoperations/status", "patch", ""),
    (OPERATOR, f"{GROUP}/hosts", "get list watch patch create", "delete deletecollection"),
    (OPERATOR, f"{GROUP}/clusters", "get list watch patch create", "delete deletecollection"),
    (OPERATOR, f"{GROUP}/flavors", "get list watch patch create", "delete deletecollection"),
    (OPERATOR, f"{GROUP}/assignments", "get list watch create patch delete", "deletecollection"),
    (OPERATOR, f"{GROUP}/ipaddresses", "get list watch create patch delete", "deletecollection"),
    (OPERATOR, f"{GROUP}/images/status", "patch", ""),
    (OPERATOR, "/namespaces", "get list watch create patch", "deletecollection"),
    (OPERATOR, "/secrets", "get create patch delete", "list watch update deletecollection"),
    (OPERATOR, "/pods", "", "get list create"),
    (OPERATOR, "/serviceaccounts/token", "", "create"),
    (OPERATOR, f"{RBAC}/roles", "get list watch create patch", "update delete escalate bind"),
    (OPERATOR, f"{RBAC}/rolebindings", "get list watch create patch delete", "update"),
    (OPERATOR, f"{RBAC}/clusterroles", "", "get create patch escalate bind"),
    (OPERATOR, "coordination.k8s.io/leases", "get list watch create patch", "delete deletecollection"),
    (OPERATOR, "apiextensions.k8s.io/customresourcedefinitions", "get list watch", "create patch delete"),
    (IMAGES, f"{GROUP}/images", "get", "list watch create patch delete"),
    (IMAGES, f"{GROUP}/assignments", "get", "list watch create patch"),
    (IMAGES, "authentication.k8s.io/tokenreviews", "create", ""),
    (IMAGES, "/secrets", "", "get list watch create patch update delete"),
    (IMAGES, f"{GROUP}/guests", "", "get list"),
    ("viewer", f"{GROUP}/guests", "get list watch", "create patch delete"),
    ("viewer", "query.innkeeper.dev/orphans", "list", ""),
    ("viewer", "query.innkeeper.dev/orphans/adoption", "", "create"),
    ("viewer", "query.innkeeper.dev/orphans/removal", "", "create"),
    ("editor", "query.innkeeper.dev/orphans/adoption", "create", ""),
    ("editor", "query.innkeeper.dev/orphans/removal", "create", ""),
    ("host-admin", "query.innkeeper.dev/orphans/removal", "", "create"),
    ("viewer", f"{GROUP}/guestoperations", "get list watch", "create patch delete"),
    ("viewer", f"{GROUP}/images", "get list watch", "create patch delete"),
    ("editor", f"{GROUP}/guests", "get list watch create patch update delete", ""),
    ("editor", f"{GROUP}/guests/status", "get", "patch update"),
    ("editor", f"{GROUP}/guestoperations", "get list watch create patch update delete", ""),
    ("editor", f"{GROUP}/guestoperations/status", "get", "patch update"),
    ("editor", f"{GROUP}/guests/force-delete", "", "update"),
    ("editor", f"{GROUP}/hosts", "", "get create patch delete"),
    ("administrator", f"{GROUP}/guests", "get create patch delete", ""),
    ("administrator", f"{GROUP}/guests/force-delete", "", "update"),
    ("administrator", f"{GROUP}/assignments", "", "get create patch"),
    ("host-admin", f"{GROUP}/hosts", "get create patch delete", ""),
    ("host-admin", f"{GROUP}/ippools", "get create patch delete", ""),
    ("host-admin", f"{GROUP}/assignments", "get list", "create patch delete"),
    ("host-admin", f"{GROUP}/guests", "", "get create delete"),
]


@pytest.fixture(scope="module", autouse=True)
def people(server: Server) -> None:
    for person, role in PEOPLE.items():
        subjects = [{"apiGroup": RBAC, "kind": "User", "name": person}]
        body = {"metadata": {"name": f"{person}-is-{role}"}, "subjects": subjects}
        body["roleRef"] = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
        assert server.request("POST", f"/apis/{RBAC}/v1/clusterrolebindings", body).status in (201, 409)


def may(server: Server, who: str, what: str, verb: str) -> bool:
    group, resource, subresource = (*what.split("/"), "")[:3]
    attributes = {"group": group, "resource": resource, "subresource": subresource, "verb": verb}
    review = {
        "spec": {"user": who, "resourceAttributes": attributes | {"namespace": "default", "version": "*"}}
    }
    answer = server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer.status == 201, answer.message
    allowed: bool = answer.body["status"]["allowed"]
    return allowed


@pytest.mark.parametrize(
    ("who", "what", "allowed", "denied"), RIGHTS, ids=[f"{row[0]} {row[1]}" for row in RIGHTS]
)
def test_rights(server: Server, who: str, what: str, allowed: str, denied: str) -> None:
    asked = {verb: may(server, who, what, verb) for verb in (allowed + " " + denied).split()}
    assert asked == dict.fromkeys(allowed.split(), True) | dict.fromkeys(denied.split(), False)


def role(rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": "agent"}, "rules": rules}


def test_the_operator_may_grant_what_agents_need(server: Server) -> None:
    path = f"/apis/{RBAC}/v1/namespaces/{HOST_NAMESPACE}"
    granted = server.request("POST", f"{path}/roles", role(AGENT_RULES), user=OPERATOR)
    assert granted.status == 201, granted.message
    binding = {
        "metadata": {"name": "agent"},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "agent"},
        "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": HOST_NAMESPACE}],
    }
    bound = server.request("POST", f"{path}/rolebindings?dryRun=All", binding, user=OPERATOR)
    server.request("DELETE", f"{path}/roles/agent")
    assert bound.status == 201, bound.message


def test_the_operator_may_grant_nothing_that_it_does_not_hold(server: Server) -> None:
    path = f"/apis/{RBAC}/v1/namespaces/{HOST_NAMESPACE}/roles?dryRun=All"
    more = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    refused = server.request("POST", path, role([*AGENT_RULES, more]), user=OPERATOR)
    assert refused.status == 403
    assert "attempting to grant RBAC permissions not currently held" in refused.message
