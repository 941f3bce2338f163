"""What a repository may ask for, once in few words and once in all of them; and how a pipeline compares it with what is.

`full` sets every optional field that can be set at once, in spellings that a careless server would write in its own way.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from tests.kit.install import CRDS

Document = dict[str, Any]
DIGEST = f"sha256:{'a' * 64}"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ5dGVz someone@somewhere"
LABELS = {"team": "web", "app.kubernetes.io/instance": "shop"}
ANNOTATIONS = {"example.com/contact": "web@example.com"}


def plain(name: str) -> list[Document]:
    """Return one object of each kind that people write, with what must be said."""
    image = {"source": {"directory": {"path": "disk.raw"}}, "format": "raw", "digest": DIGEST}
    guest = {
        "flavor": name,
        "image": {"name": name},
        "interfaces": [{"pool": name}],
        "placement": {"cluster": name},
    }
    return [
        _object("Cluster", name, {"network": {"bridge": "br0"}}),
        _object("IPPool", name, {"cidr": "192.0.2.0/24", "addressSpace": name, "clusters": [name]}),
        _object("Flavor", name, {"cpu": "1", "memory": "1Gi", "disk": "2Gi"}),
        _object("Image", name, image),
        _object("Host", name, {"cluster": name}),
        _object("Guest", name, guest),
        _object("GuestOperation", name, {"guestName": name, "operation": "Reboot"}),
    ]


def full(name: str) -> list[Document]:
    """Return the same kinds with all that can be said, as strangely as it may be spelled."""
    return [
        _object("Cluster", name, _CLUSTER),
        _object("IPPool", name, {**_POOL, "addressSpace": name, "clusters": [name], "vlan": 12, "mtu": 1400}),
        _object("Flavor", name, {"cpu": "2000m", "memory": "1024Mi", "disk": "2048Mi"}),
        _object("Image", name, _IMAGE),
        _object("Host", name, {**_HOST, "cluster": name}),
        _object("Guest", name, _guest(name)),
        _object(
            "GuestOperation",
            name,
            {"guestName": name, "operation": "Reboot", "ttlSecondsAfterFinished": 7200},
        ),
    ]


_CLUSTER: Document = {
    "network": {"managed": {"bridge": "br7", "uplink": "eth1", "nat": False}, "vlan": 7, "mtu": 1500},
    "scheduling": {"strategy": "Pack"},
}
_POOL: Document = {
    "cidr": "2001:0DB8:0::/64",
    "ranges": [{"start": "2001:DB8::0:10", "end": "2001:db8:0:0::FFFF"}],
    "exclude": ["2001:db8::0100/120", "2001:DB8:0::7"],
    "reservations": [{"address": "2001:DB8::0020", "owner": "the printer", "reason": "it cannot move"}],
    "gateway": "FE80::1",
    "dns": ["2001:db8:0::1"],
    "searchDomains": ["example.com"],
    "quarantine": "1h0m90s",
    "order": "Lowest",
    "maxPerNamespace": 10,
}
_IMAGE: Document = {
    "source": {"http": {"url": "https://images.example/a.qcow2", "mirrors": ["https://mirror.example/a"]}},
    "format": "qcow2",
    "digest": DIGEST,
    "manifest": {"url": "https://images.example/a.manifest", "digest": DIGEST},
    "shared": True,
}
_HOST: Document = {
    "reserved": {"cpu": "1000m", "memory": "1024Mi", "disk": "0"},
    "overcommit": {"cpuPercent": 400, "memoryPercent": 100, "diskPercent": 100},
    "unschedulable": False,
    "maintenance": False,
    "taints": [{"key": "example.com/slow", "value": "", "effect": "PreferNoSchedule"}],
    "allowEmulation": True,
}
_OTHERS: Document = {"selector": {"matchLabels": {"team": "db"}}}


def _guest(name: str) -> Document:
    return {
        "image": {"name": name, "namespace": "default"},
        "resources": {"cpu": "0.5", "memory": "0.5Gi", "disk": "2048Mi"},
        "power": "Running",
        "restartPolicy": "OnFailure",
        "storage": "Copy",
        "readinessProbe": {"tcp": {"port": 22}, "periodSeconds": 5},
        "interfaces": [
            {
                "name": "net0",
                "mac": "02:00:00:00:00:aa",
                "addresses": [{"pool": name, "address": "2001:DB8::0:0042"}],
            }
        ],
        "placement": {
            "cluster": name,
            "tolerations": [{"key": "example.com/slow", "operator": "Exists"}],
            "antiAffinity": {"preferred": [{**_OTHERS, "weight": 7}]},
            "spread": [
                {**_OTHERS, "topologyKey": "innkeeper.dev/host", "whenUnsatisfiable": "ScheduleAnyway"}
            ],
        },
        "priority": 5,
        "sshKeys": [KEY],
        "userData": {"inline": "#cloud-config\n\n"},
        "hostname": "web",
    }


def _object(kind: str, name: str, spec: Document) -> Document:
    metadata: Document = {"name": name, "labels": dict(LABELS), "annotations": dict(ANNOTATIONS)}
    if kind in ("Guest", "GuestOperation", "Image"):
        metadata["namespace"] = "default"
    return {"apiVersion": "innkeeper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def without_defaults(live: Document, desired: Document) -> Any:
    """Return a live spec without what the schema's defaults put there because the desired one leaves it out."""
    plural = f"{live['kind'].lower()}{'es' if live['kind'] == 'IPAddress' else 's'}"
    crd = yaml.safe_load((CRDS / f"innkeeper.dev_{plural}.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return _without(live["spec"], desired["spec"], schema)


def _without(live: Any, desired: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(live, list) and isinstance(desired, list) and len(live) == len(desired):
        items = schema.get("items", {})
        return [_without(each, wanted, items) for each, wanted in zip(live, desired, strict=True)]
    if not isinstance(live, dict):
        return live
    found, properties = {}, schema.get("properties", {})
    for field, value in live.items():
        below = properties.get(field, {})
        wanted = desired.get(field) if isinstance(desired, dict) else None
        default = below.get("default")
        if wanted is None and default is not None and _without(value, default, below) == default:
            continue
        found[field] = _without(value, wanted, below)
    return found
