"""What a host's identity is made of, and which writes bring what is there to that.

Pure: views in, writes out. A host's agent may read its own orders, Secrets and HostAgent, answer in the status of the
first and the last, renew its Lease and its own token, and write Events; all in its own namespace, nothing elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from innkeeper.domain import names
from innkeeper.domain.names import AGENT_SERVICE_ACCOUNT, GROUP, HEARTBEAT_LEASE, HOST_AGENT_NAME, HOST_LABEL
from innkeeper.kube.resources import (
    HOST_AGENTS,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Resource,
)
from innkeeper.kube.views import Named, Namespace, Role, RoleBinding
from innkeeper.views.host import (
    Host,
    HostAgent,
    HostScheduling,
    Network,
    OrderKey,
    Overcommit,
    Reserved,
)
from innkeeper.views.meta import View

_RBAC = "rbac.authorization.k8s.io"
MOST_LABELS = 64  # of a Host, in its HostAgent; the CRD says the same
READ = ["get", "list", "watch"]
WRITE = ["patch", "update"]

AGENT_RULES: list[dict[str, Any]] = [
    {"apiGroups": [GROUP], "resources": ["assignments", "hostagents"], "verbs": READ},
    {"apiGroups": [GROUP], "resources": ["assignments/status", "hostagents/status"], "verbs": WRITE},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},  # user data: its order names it
    # A name cannot be asked for when something is created: RBAC does not know it yet.
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [HEARTBEAT_LEASE],
        "verbs": ["get", "patch", "update"],
    },
    {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    # Its own token, before that ends; an admission policy bounds for how long, and to what it is bound.
    {
        "apiGroups": [""],
        "resources": ["serviceaccounts/token"],
        "resourceNames": [AGENT_SERVICE_ACCOUNT],
        "verbs": ["create"],
    },
]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is there of one host's identity, as the watches last saw it."""

    namespace: Namespace | None = None
    account: Named | None = None
    role: Role | None = None
    binding: RoleBinding | None = None
    orders: HostAgent | None = None


@dataclass(frozen=True, kw_only=True)
class Write:
    """One write: a creation, a merge patch of what was seen, or (without a body) a deletion of it."""

    resource: Resource[Any]
    name: str
    namespace: str | None = None
    body: Mapping[str, Any] | None = None
    seen: View | None = None


Writes = Iterator[Write]


def is_leaving(namespace: Namespace | None) -> bool:
    """Tell whether a namespace is being deleted: nothing can be made in it, and soon it is gone."""
    return namespace is not None and (
        namespace.metadata.deletion_timestamp is not None or namespace.status.phase == "Terminating"
    )


def host_orders(
    host: Host, *, network: Network, keys: list[OrderKey], certificate: str | None = None
) -> dict[str, Any]:
    """Return the spec of the host's HostAgent: the effective settings of Host and Cluster."""
    return {
        "cluster": host.spec.cluster,
        "network": _network(network),
        "allowEmulation": host.spec.allow_emulation,
        **_promises(host.spec.reserved, host.spec.overcommit),
        "scheduling": _scheduling(_scheduling_of(host)),
        "orderKeys": [_key(each) for each in keys],
        **_said({"certificate": certificate}),
    }


def missing(host: str, known: Known, *, orders: Mapping[str, Any] | None) -> Iterator[Write]:
    """Yield the writes that complete a host's identity, in order; `orders` is None while they cannot be known."""
    place = names.host_namespace(host)
    labels = {HOST_LABEL: host}
    yield from _labelled(NAMESPACES, place, None, known.namespace, labels)
    account = {"automountServiceAccountToken": False}
    yield from _labelled(SERVICE_ACCOUNTS, AGENT_SERVICE_ACCOUNT, place, known.account, labels, account)
    rules = {"rules": AGENT_RULES}
    same = known.role is not None and known.role.rules == AGENT_RULES
    yield from _labelled(ROLES, AGENT_SERVICE_ACCOUNT, place, known.role, labels, rules, same=same)
    yield from _binding(place, known.binding, labels)
    if orders is not None:
        same = known.orders is not None and _spec_of(known.orders) == orders
        spec = orders if known.orders is None else _instead(orders, known.orders)
        yield from _labelled(
            HOST_AGENTS, HOST_AGENT_NAME, place, known.orders, labels, {"spec": spec}, same=same
        )


def revoked(host: str, known: Known) -> Iterator[Write]:
    """Yield the writes that end a host's identity: without its account, every token of it is worth nothing."""
    place = names.host_namespace(host)
    if known.binding is not None:
        yield Write(resource=ROLE_BINDINGS, name=AGENT_SERVICE_ACCOUNT, namespace=place, seen=known.binding)
    if known.account is not None:
        yield Write(
            resource=SERVICE_ACCOUNTS, name=AGENT_SERVICE_ACCOUNT, namespace=place, seen=known.account
        )


def _labelled(
    resource: Resource[Any],
    name: str,
    namespace: str | None,
    seen: Any,
    labels: Mapping[str, str],
    content: Mapping[str, Any] | None = None,
    *,
    same: bool = True,
) -> Iterator[Write]:
    """Yield one write unless the object is there, is ours by its label, and holds what it should."""
    content = content or {}
    if seen is None:
        body = {"metadata": {"name": name, "labels": labels}, **content}
        yield Write(resource=resource, name=name, namespace=namespace, body=body)
    elif not same:
        body = {"metadata": {"labels": labels}, **content}
        yield Write(resource=resource, name=name, namespace=namespace, body=body, seen=seen)


def _binding(place: str, seen: RoleBinding | None, labels: Mapping[str, str]) -> Iterator[Write]:
    role = {"apiGroup": _RBAC, "kind": "Role", "name": AGENT_SERVICE_ACCOUNT}
    subjects = [{"kind": "ServiceAccount", "name": AGENT_SERVICE_ACCOUNT, "namespace": place}]
    if seen is not None and seen.role_ref != role:
        # A roleRef cannot be changed; the deletion is seen, and then the right one is made.
        yield Write(resource=ROLE_BINDINGS, name=AGENT_SERVICE_ACCOUNT, namespace=place, seen=seen)
        return
    same = seen is not None and seen.subjects == subjects
    content = {"roleRef": role, "subjects": subjects}
    yield from _labelled(ROLE_BINDINGS, AGENT_SERVICE_ACCOUNT, place, seen, labels, content, same=same)


def _promises(reserved: Reserved, overcommit: Overcommit) -> dict[str, Any]:
    """Return how much the agent may promise, in full: what is left out of a merge patch keeps its old value."""
    return {
        "reserved": {"cpu": reserved.cpu, "memory": reserved.memory, "disk": reserved.disk},
        "overcommit": {
            "cpuPercent": overcommit.cpu_percent,
            "memoryPercent": overcommit.memory_percent,
            "diskPercent": overcommit.disk_percent,
        },
    }


def _network(network: Network) -> dict[str, Any]:
    managed = network.managed
    said = {
        "bridge": network.bridge,
        "managed": managed
        and _said({"bridge": managed.bridge, "uplink": managed.uplink, "nat": managed.nat}),
        "vlan": network.vlan,
        "mtu": network.mtu,
    }
    return _said(said)


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _instead(orders: Mapping[str, Any], seen: HostAgent) -> dict[str, Any]:
    """Return orders as a merge patch: null takes away what Cluster and Host said before."""
    network = {"bridge": None, "managed": None, "vlan": None, "mtu": None, **orders["network"]}
    if network["managed"] is not None:
        network["managed"] = {"uplink": None, **network["managed"]}
    scheduling = dict(orders.get("scheduling", {}))
    if scheduling and seen.spec.scheduling is not None:
        scheduling["labels"] = {**dict.fromkeys(seen.spec.scheduling.labels), **scheduling["labels"]}
    return {**orders, "network": network, **({"scheduling": scheduling} if scheduling else {})}


def _scheduling_of(host: Host) -> HostScheduling:
    """Return what a Host says of guests to come; a pipeline takes the Host for its own by applying it."""
    kept = sorted(each for each in host.metadata.labels if each != names.ARGO_INSTANCE_LABEL)
    return HostScheduling(
        unschedulable=host.spec.unschedulable,
        maintenance=host.spec.maintenance,
        taints=host.spec.taints,
        labels={each: host.metadata.labels[each] for each in kept[:MOST_LABELS]},
    )


def _scheduling(scheduling: HostScheduling) -> dict[str, Any]:
    return {
        "unschedulable": scheduling.unschedulable,
        "maintenance": scheduling.maintenance,
        "taints": [
            {"key": each.key, "value": each.value, "effect": each.effect} for each in scheduling.taints
        ],
        "labels": dict(scheduling.labels),
    }


def _key(key: OrderKey) -> dict[str, str]:
    found = {"id": key.id, "publicKey": key.public_key, "signedBy": key.signed_by, "signature": key.signature}
    return _said(found)


def _spec_of(agent: HostAgent) -> dict[str, Any]:
    scheduling = agent.spec.scheduling
    return {
        "cluster": agent.spec.cluster,
        "network": _network(agent.spec.network),
        "allowEmulation": agent.spec.allow_emulation,
        **_promises(agent.spec.reserved, agent.spec.overcommit),
        **_said({"scheduling": _scheduling(scheduling) if scheduling is not None else None}),
        "orderKeys": [_key(each) for each in agent.spec.order_keys],
        **_said({"certificate": agent.spec.certificate}),
    }
