"""Good objects of each kind for tests of the operator, as documents; `view` turns one into what the operator reads.

Nested fields are replaced as a whole: `guest(spec={...})` merges one level deep, which is as much as tests need.
"""

from typing import Any, TypeVar

import msgspec

from innkeeper.domain import names
from innkeeper.views.meta import View

V = TypeVar("V", bound=View)
Document = dict[str, Any]

NAMESPACE = "default"
DIGEST = f"sha256:{'d' * 64}"
GUEST_ID = "6f2f2d5e-0000-4000-8000-000000000001"
NOW = "2026-01-01T00:00:00Z"


def view(document: Document, kind: type[V]) -> V:
    """Return a document as the operator reads it."""
    return msgspec.convert(document, type=kind)


def ready(status: str = "True", reason: str = "Ready", message: str = "") -> Document:
    """Return a Ready condition."""
    return {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": NOW,
        "observedGeneration": 1,
    }


def guest_id(number: int = 1) -> str:
    """Return a Guest ID; tests give it by annotation, so that it is the same in every run."""
    return f"6f2f2d5e-0000-4000-8000-{number:012d}"


def guest(
    name: str = "web",
    *,
    number: int | None = 1,
    spec: Document | None = None,
    status: Document | None = None,
    **metadata: Any,
) -> Document:
    """Return a Guest of flavor `small` in pool `lab`; with `number=None` its ID is its uid."""
    annotations = dict(metadata.pop("annotations", {}))
    if number is not None:
        annotations[names.ID_ANNOTATION] = guest_id(number)
    made: Document = {
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations, **metadata},
        "spec": {
            "image": {"name": "debian"},
            "flavor": "small",
            "power": "Running",
            "restartPolicy": "Always",
            "interfaces": [{"name": "eth0", "pool": "lab"}],
            **(spec or {}),
        },
    }
    return made if status is None else {**made, "status": status}


def flavor(name: str = "small", *, cpu: str = "1", memory: str = "1Gi", disk: str = "10Gi") -> Document:
    """Return a Flavor."""
    return {"metadata": {"name": name}, "spec": {"cpu": cpu, "memory": memory, "disk": disk}}


def image(
    name: str = "debian",
    *,
    namespace: str = NAMESPACE,
    virtual_size: str = "2Gi",
    condition: Document | None = None,
    shared: bool = False,
    digest: str = DIGEST,
) -> Document:
    """Return an Image that the image server has read."""
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "source": {"http": {"url": "https://images.example/debian.qcow2"}},
            "format": "qcow2",
            "digest": digest,
            "shared": shared,
        },
        "status": {
            "observedGeneration": 1,
            "digest": digest,
            "format": "qcow2",
            "size": "300Mi",
            "virtualSize": virtual_size,
            "conditions": [condition or ready()],
        },
    }


def pool(name: str = "lab", **spec: Any) -> Document:
    """Return an IPPool with six addresses to give."""
    return {
        "metadata": {"name": name},
        "spec": {
            "cidr": "10.7.0.0/29",
            "gateway": "10.7.0.1",
            "dns": ["10.7.0.1"],
            "addressSpace": "default",
            "quarantine": "5m",
            **spec,
        },
    }


def cluster(name: str = "lab", *, labels: dict[str, str] | None = None) -> Document:
    """Return a Cluster."""
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"network": {"bridge": "br0"}}}


def host(
    name: str = "a",
    *,
    cluster: str = "lab",
    cpu: str = "8",
    memory: str = "16Gi",
    disk: str = "200Gi",
    store_id: str | None = "store-1",
    condition: Document | None = None,
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> Document:
    """Return a Host that is ready."""
    amounts = {"cpu": cpu, "memory": memory, "disk": disk}
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"cluster": cluster, **spec},
        "status": {
            "observedGeneration": 1,
            **({"storeId": store_id} if store_id else {}),
            "schedulable": True,
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [condition or ready()],
        },
    }


def address(
    last: int = 2,
    *,
    owner: str | None = GUEST_ID,
    pool: str = "lab",
    released_at: str | None = None,
    **metadata: Any,
) -> Document:
    """Return an IPAddress that a guest holds, or one in quarantine."""
    text = f"10.7.0.{last}"
    spec: Document = {"pool": pool, "addressSpace": "default", "address": text}
    if owner is not None:
        spec["owner"] = {"id": owner, "namespace": NAMESPACE, "name": "web", "interface": "eth0"}
    if released_at is not None:
        spec["releasedAt"] = released_at
    return {
        "metadata": {
            "name": names.address_name("default", text),
            "finalizers": [names.ADDRESS_FINALIZER],
            **metadata,
        },
        "spec": spec,
    }


def assignment(
    *,
    host: str = "a",
    guest: str = GUEST_ID,
    order: str = "{}",
    desired: str = "Running",
    rank: tuple[int, int] = (1, 1),
    status: Document | None = None,
    **metadata: Any,
) -> Document:
    """Return an Assignment."""
    made: Document = {
        "metadata": {"name": guest, "namespace": names.host_namespace(host), **metadata},
        "spec": {
            "order": order,
            "guest": {"namespace": NAMESPACE, "name": "web"},
            "guestId": guest,
            "desired": desired,
            "epoch": rank[0],
            "serial": rank[1],
        },
    }
    return made if status is None else {**made, "status": status}
