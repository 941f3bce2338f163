"""A good object of each kind, small changes to it, and where it lies in the API."""

import copy
from collections.abc import Mapping
from typing import Any

OPERATOR = "system:serviceaccount:innkeeper-system:innkeeper-operator"
HOST_NAMESPACE = "host-api"
DIGEST = f"sha256:{'a' * 64}"
LONG_DIGEST = f"sha512:{'a' * 128}"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ5dGVz someone@somewhere"

_PLURALS = {
    "Guest": "guests",
    "GuestOperation": "guestoperations",
    "Image": "images",
    "Flavor": "flavors",
    "Host": "hosts",
    "Cluster": "clusters",
    "IPPool": "ippools",
    "IPAddress": "ipaddresses",
    "Assignment": "assignments",
    "HostAgent": "hostagents",
}
_NAMESPACES = {
    "Guest": "default",
    "GuestOperation": "default",
    "Image": "default",
    "Assignment": HOST_NAMESPACE,
    "HostAgent": HOST_NAMESPACE,
}
_SPECS: dict[str, dict[str, Any]] = {
    "Guest": {
        "image": {"name": "debian-12"},
        "flavor": "small",
        "interfaces": [{"pool": "lab"}],
        "sshKeys": [KEY],
        "userData": {"inline": "#cloud-config\n"},
        "placement": {"cluster": "lab", "hostSelector": {"matchLabels": {"innkeeper.dev/rack": "a"}}},
        "hostname": "web",
    },
    "GuestOperation": {"guestName": "web", "operation": "Reboot"},
    "Image": {
        "source": {"http": {"url": "https://images.example/a.qcow2"}},
        "format": "qcow2",
        "digest": DIGEST,
    },
    "Flavor": {"cpu": "500m", "memory": "1Gi", "disk": "10Gi"},
    "Host": {"cluster": "lab", "reserved": {"cpu": "1", "memory": "1Gi"}},
    "Cluster": {"network": {"bridge": "br0"}},
    "IPPool": {
        "cidr": "10.7.0.0/24",
        "ranges": [{"start": "10.7.0.10", "end": "10.7.0.200"}],
        "exclude": ["10.7.0.77"],
        "gateway": "10.7.0.1",
        "dns": ["192.0.2.53"],
        "clusters": ["lab"],
    },
    "IPAddress": {
        "pool": "lab",
        "addressSpace": "default",
        "address": "10.7.0.10",
        "owner": {"id": "0a1b", "namespace": "default", "name": "web", "interface": "eth0"},
    },
    "Assignment": {
        "order": "{}",
        "guest": {"namespace": "default", "name": "web"},
        "guestId": "0a1b",
        "desired": "Running",
        "epoch": 2,
        "serial": 3,
        "imageDigest": DIGEST,
        "addresses": ["10.7.0.10"],
    },
    "HostAgent": {
        "cluster": "lab",
        "network": {"bridge": "br0"},
        "orderKeys": [{"id": "0123456789abcdef", "publicKey": f"{'A' * 43}="}],
    },
}
_NAMES = {"IPAddress": "default.10.7.0.10", "Assignment": "0a1b", "HostAgent": "host"}


def good(kind: str, name: str | None = None, /, *, drop: str = "", **spec: Any) -> dict[str, Any]:
    """Return a good object; `spec` replaces fields, `drop` names one to leave out."""
    metadata = {"name": name or _NAMES.get(kind, "thing")}
    if kind in _NAMESPACES:
        metadata["namespace"] = _NAMESPACES[kind]
    wanted = copy.deepcopy(_SPECS[kind]) | spec
    wanted.pop(drop, None)
    return {"apiVersion": "innkeeper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": wanted}


def annotated(body: Mapping[str, Any], **annotations: str) -> dict[str, Any]:
    """Return the object with annotations of our own prefix: `force_delete` becomes `innkeeper.dev/force-delete`."""
    own = {f"innkeeper.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {**body, "metadata": {**body["metadata"], "annotations": own}}


def path_of(body: Mapping[str, Any], *, named: bool = True) -> str:
    """Return the path of an object, or of the collection that it belongs in."""
    namespace = body["metadata"].get("namespace")
    middle = f"/namespaces/{namespace}" if namespace else ""
    collection = f"/apis/innkeeper.dev/v1alpha1{middle}/{_PLURALS[body['kind']]}"
    return f"{collection}/{body['metadata']['name']}" if named else collection


V6_NAME = "default.2001-0db8-0000-0000-0000-0000-0000-0007"
DUAL_STACK = [
    {
        "mac": "02:00:00:00:00:07",
        "addresses": [
            {"pool": "a", "address": "10.7.0.9"},
            {"poolSelector": {"matchLabels": {"net": "a"}}, "address": "2001:DB8::7"},
        ],
    },
    {"name": "eth1", "pool": "b"},
]


def v6_pool(**spec: Any) -> dict[str, Any]:
    """Return an IPv6 pool."""
    return good(
        "IPPool",
        **{
            "cidr": "2001:db8::/64",
            "ranges": [{"start": "2001:db8::10", "end": "2001:db8::ffff"}],
            "exclude": ["2001:db8::100/120", "2001:db8::7"],
            "gateway": "fe80::1",
            "dns": ["2001:db8::1", "192.0.2.53"],
            **spec,
        },
    )
