"""Which writes complete a host's identity, and what an agent may do."""

from typing import Any

import msgspec
import pytest

from innkeeper.kube.views import Named, Namespace, Role, RoleBinding
from innkeeper.views.host import HostAgent
from innkeeper.workers.hosts import identity
from innkeeper.workers.hosts.identity import AGENT_RULES, Known

ORDERS = {
    "cluster": "c",
    "network": {"bridge": "br0"},
    "allowEmulation": False,
    "reserved": {"cpu": "0", "memory": "0", "disk": "0"},
    "overcommit": {"cpuPercent": 100, "memoryPercent": 100, "diskPercent": 100},
    "orderKeys": [],
}
ROLE_REF = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "agent"}
SUBJECTS = [{"kind": "ServiceAccount", "name": "agent", "namespace": "host-a"}]


def complete(**changes: Any) -> Known:
    meta = {"name": "agent", "namespace": "host-a", "uid": "u", "resourceVersion": "7"}
    parts = {
        "namespace": msgspec.convert({"metadata": {"name": "host-a"}}, Namespace),
        "account": msgspec.convert({"metadata": meta}, Named),
        "role": msgspec.convert({"metadata": meta, "rules": AGENT_RULES}, Role),
        "binding": msgspec.convert(
            {"metadata": meta, "roleRef": ROLE_REF, "subjects": SUBJECTS}, RoleBinding
        ),
        "orders": msgspec.convert({"metadata": meta, "spec": ORDERS}, HostAgent),
    }
    return Known(**{**parts, **changes})


def kinds(known: Known, orders: dict[str, Any] | None = ORDERS) -> list[str]:
    return [write.resource.kind for write in identity.missing("a", known, orders=orders)]


def test_nothing_is_written_when_all_is_there() -> None:
    assert kinds(complete()) == []


def test_all_is_made_for_a_new_host_the_namespace_first() -> None:
    assert kinds(Known()) == ["Namespace", "ServiceAccount", "Role", "RoleBinding", "HostAgent"]


def test_orders_wait_for_the_cluster_but_the_identity_does_not() -> None:
    assert kinds(Known(), None) == ["Namespace", "ServiceAccount", "Role", "RoleBinding"]


@pytest.mark.parametrize(
    ("part", "kind"),
    [("account", "ServiceAccount"), ("role", "Role"), ("binding", "RoleBinding"), ("orders", "HostAgent")],
)
def test_a_part_that_somebody_deleted_is_made_again(part: str, kind: str) -> None:
    assert kinds(complete(**{part: None})) == [kind]


def test_rights_that_somebody_widened_are_put_back() -> None:
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    widened = msgspec.convert({"metadata": {"name": "agent", "resourceVersion": "9"}, "rules": rules}, Role)
    (write,) = identity.missing("a", complete(role=widened), orders=ORDERS)
    assert write.body is not None
    assert write.body["rules"] == AGENT_RULES
    assert write.seen is widened


def test_a_binding_to_another_role_is_deleted_since_it_cannot_be_changed() -> None:
    other = msgspec.convert(
        {"metadata": {"name": "agent"}, "roleRef": {**ROLE_REF, "name": "admin"}, "subjects": SUBJECTS},
        RoleBinding,
    )
    (write,) = identity.missing("a", complete(binding=other), orders=ORDERS)
    assert (write.resource.kind, write.body) == ("RoleBinding", None)


def test_a_binding_of_somebody_else_is_put_back() -> None:
    other = msgspec.convert(
        {"metadata": {"name": "agent"}, "roleRef": ROLE_REF, "subjects": [{"kind": "User", "name": "eve"}]},
        RoleBinding,
    )
    (write,) = identity.missing("a", complete(binding=other), orders=ORDERS)
    assert write.body is not None
    assert write.body["subjects"] == SUBJECTS


def test_a_lost_hosts_identity_ends_with_binding_and_account() -> None:
    assert [write.resource.kind for write in identity.revoked("a", complete())] == [
        "RoleBinding",
        "ServiceAccount",
    ]
    assert list(identity.revoked("a", Known())) == []


def test_an_agent_may_do_exactly_this() -> None:
    """Each new right must be a decision: the table stands here a second time."""
    rights = {
        (group, resource, *rule.get("resourceNames", [])): rule["verbs"]
        for rule in AGENT_RULES
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    read = ["get", "list", "watch"]
    assert rights == {
        ("innkeeper.dev", "assignments"): read,
        ("innkeeper.dev", "hostagents"): read,
        ("innkeeper.dev", "assignments/status"): ["patch", "update"],
        ("innkeeper.dev", "hostagents/status"): ["patch", "update"],
        ("", "secrets"): ["get"],
        ("coordination.k8s.io", "leases"): ["create"],
        ("coordination.k8s.io", "leases", "heartbeat"): ["get", "patch", "update"],
        ("", "events"): ["create", "patch"],
        ("events.k8s.io", "events"): ["create", "patch"],
        ("", "serviceaccounts/token", "agent"): ["create"],
    }
