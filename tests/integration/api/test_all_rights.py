"""All that each identity may do, by the rules that the chart renders: exactly what rights.yaml lists, and nothing else.

The API server itself tells the rules that hold for a user in a namespace. INNKEEPER_UPDATE_GOLDEN=1 writes the list anew;
look at the difference before it is committed.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from innkeeper.workers.hosts.identity import AGENT_RULES
from tests.integration.api.conftest import Server
from tests.integration.api.objects import OPERATOR
from tests.kit.chart import WITH_AGENTS, render
from tests.kit.install import run

pytestmark = pytest.mark.control_plane

LISTED = Path(__file__).with_name("rights.yaml")
RBAC = "rbac.authorization.k8s.io"
HOST = "host-rights"
SYSTEM = "innkeeper-system"
RIGHTS_OF = {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount"}

PROCESSES = {
    "operator": OPERATOR,
    "image server": f"system:serviceaccount:{SYSTEM}:innkeeper-images",
    "agent in a pod": f"system:serviceaccount:{SYSTEM}:innkeeper-agent",
    "stream in a pod": f"system:serviceaccount:{SYSTEM}:innkeeper-stream",
    "agent of a host": f"system:serviceaccount:{HOST}:agent",
}
PEOPLE = {
    "view": "rights-view",
    "edit": "rights-edit",
    "admin": "rights-admin",
    "innkeeper-catalog-view": "rights-catalog",
    "innkeeper-admin": "rights-hosts",
    "innkeeper-force-delete": "rights-force",
    "innkeeper-host-view": "rights-machines",
    "innkeeper-join": "rights-join",
}
PLACES = ("default", SYSTEM, "kube-system", HOST)

Rights = dict[str, str]


@pytest.fixture(scope="module", autouse=True)
def rights_in_force(server: Server) -> None:
    """Apply the rights as the chart renders them, bind each role of people, and give a host its identity."""
    rendered = [each for each in render(*WITH_AGENTS) if each["kind"] in RIGHTS_OF]
    people = [_bound(role, user) for role, user in PEOPLE.items()]
    identity = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOST}},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "Role",
            "metadata": {"name": "agent", "namespace": HOST},
            "rules": AGENT_RULES,
        },
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "agent", "namespace": HOST},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "agent"},
            "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": HOST}],
        },
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*rendered, *people, *identity]})
    run(server.kubeconfig, "apply", "--server-side", "--force-conflicts", "--filename=-", stdin=text)


def _bound(role: str, user: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": user},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }


def rights_of(server: Server, user: str, namespace: str) -> dict[str, set[str]]:
    """Return verbs by `group/resource`, with the names that alone count behind it, as they hold in one namespace."""
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    answer = server.request("POST", path, {**body, "spec": {"namespace": namespace}}, user=user)
    assert answer.status == 201, answer.message
    assert not answer.body["status"]["incomplete"]
    found: dict[str, set[str]] = {}
    for rule in answer.body["status"]["resourceRules"]:
        for group in rule.get("apiGroups", []):
            for resource in rule.get("resources", []):
                only = (
                    f" named {' '.join(sorted(rule['resourceNames']))}" if rule.get("resourceNames") else ""
                )
                found.setdefault(f"{group}/{resource}{only}", set()).update(rule["verbs"])
    return found


def beyond(rights: Mapping[str, set[str]], others: Mapping[str, set[str]]) -> Rights:
    """Return what the first has and the second has not, as it is listed."""
    more = {what: verbs - others.get(what, set()) for what, verbs in rights.items()}
    return {what: " ".join(sorted(verbs)) for what, verbs in sorted(more.items()) if verbs}


def told(server: Server) -> dict[str, Any]:
    """Return all rights: of processes everywhere and then in each namespace, of people those that Innkeeper gives."""
    everybody = {place: rights_of(server, "anybody", place) for place in PLACES}
    usual = {what: verbs for what, verbs in everybody["default"].items() if "innkeeper.dev/" not in what}
    found: dict[str, Any] = {}
    for who, user in PROCESSES.items():
        here = {place: rights_of(server, user, place) for place in PLACES}
        everywhere = {
            what: set.intersection(*(each.get(what, set()) for each in here.values()))
            for what in here["default"]
        }
        found[who] = {"everywhere": beyond(everywhere, everybody["default"])}
        for place, rights in here.items():
            more = beyond(rights, {**everybody[place], **everywhere})
            if more:
                found[who][f"in {place}"] = more
    for role, user in PEOPLE.items():
        rights = rights_of(server, user, "default")
        if not role.startswith("innkeeper-"):  # the cluster's own roles hold much that we do not give
            rights = {what: verbs for what, verbs in rights.items() if "innkeeper.dev/" in what}
        found[f"role {role}"] = {"everywhere": beyond(rights, usual)}
    return found


def test_each_identity_may_do_just_what_is_listed(server: Server) -> None:
    found = told(server)
    if os.environ.get("INNKEEPER_UPDATE_GOLDEN"):
        LISTED.write_text(yaml.safe_dump(found, sort_keys=False, width=120))
    assert found == yaml.safe_load(LISTED.read_text())


def listed() -> list[tuple[str, str, str, str]]:
    """Return who, where, what and one verb, for each right that is listed."""
    return [
        (who, where, what, verb)
        for who, places in yaml.safe_load(LISTED.read_text()).items()
        for where, rights in places.items()
        for what, verbs in rights.items()
        for verb in verbs.split()
    ]


def holders(*, resources: str, verbs: str) -> set[str]:
    """Return who holds any of these verbs over any of these resources, anywhere."""
    return {
        who
        for who, _, what, verb in listed()
        if what.partition(" named ")[0] in resources.split() and verb in verbs.split()
    }


WRITES = "create update patch delete deletecollection"


def test_no_right_of_ours_is_over_everything() -> None:
    assert not [row for row in listed() if "*" in f"{row[2]} {row[3]}"]


@pytest.mark.parametrize("verb", ["escalate", "bind", "impersonate", "approve", "sign"])
def test_nobody_may_become_more_than_they_are(verb: str) -> None:
    assert not [row for row in listed() if row[3] == verb]


def test_nobody_reaches_nodes_or_what_runs_in_pods() -> None:
    reached = "/nodes /nodes/proxy /pods /pods/exec /pods/attach /pods/portforward /pods/ephemeralcontainers"
    assert not holders(resources=reached, verbs=f"get list watch {WRITES}")


def test_nobody_changes_what_guards_the_api() -> None:
    guards = (
        "admissionregistration.k8s.io/validatingadmissionpolicies "
        "admissionregistration.k8s.io/validatingadmissionpolicybindings "
        "admissionregistration.k8s.io/mutatingadmissionpolicies "
        "admissionregistration.k8s.io/mutatingadmissionpolicybindings "
        "apiregistration.k8s.io/apiservices apiextensions.k8s.io/customresourcedefinitions "
        f"{RBAC}/clusterroles {RBAC}/clusterrolebindings"
    )
    assert not holders(resources=guards, verbs=WRITES)


def test_secrets_are_read_by_name_and_listed_by_nobody() -> None:
    rows = {(who, where) for who, where, what, verb in listed() if what == "/secrets" and verb == "get"}
    assert rows == {
        ("operator", "everywhere"),
        ("agent of a host", f"in {HOST}"),
    }
    assert not [row for row in listed() if row[2] == "/secrets" and row[3] in {"list", "watch"}]


def test_a_hosts_agent_has_no_right_outside_its_own_namespace() -> None:
    assert {where for who, where, *_ in listed() if who == "agent of a host"} == {f"in {HOST}"}


def test_a_stream_has_no_right_at_all() -> None:
    assert not [row for row in listed() if row[0] == "stream in a pod"]


def test_the_agent_in_a_pod_may_ask_for_hosts_tokens_and_nothing_else() -> None:
    assert [row[2:] for row in listed() if row[0] == "agent in a pod"] == [
        ("/serviceaccounts/token named agent", "create")
    ]


def test_only_people_delete_guests_and_the_operator_one_by_one() -> None:
    """A policy lets the operator delete those alone that it noted as destroyed: test_operator_reach.py."""
    people = {"role edit", "role admin"}
    assert holders(resources="innkeeper.dev/guests", verbs="deletecollection") == people
    assert holders(resources="innkeeper.dev/guests", verbs="delete") == people | {"operator"}


def test_only_the_role_that_is_made_for_it_gives_up_a_guest() -> None:
    assert holders(resources="innkeeper.dev/guests/force-delete", verbs="update") == {
        "role innkeeper-force-delete"
    }
