"""The objects of the bench: one cluster, one pool, one flavor, the idle image, hosts, guests. Pure.

The image is a boot sector that halts: real bytes with a real digest, so that the image server, the download and QEMU
do what they always do, and nothing of the time is a guest's own.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

NAME = "bench"
NAMESPACE = "default"
IMAGE_FILE = "idle.raw"

# `sti; hlt` in a loop, and the two bytes that make it a boot sector.
IDLE_DISK = b"\xfb\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa" + bytes(1024 * 1024 - 512)


def infrastructure(hosts: tuple[str, ...], *, cidr: str, first: str, last: str) -> list[dict[str, Any]]:
    """Return everything that is there before the first guest."""
    source = {
        "source": {"directory": {"path": IMAGE_FILE}},
        "format": "raw",
        "digest": f"sha256:{hashlib.sha256(IDLE_DISK).hexdigest()}",
    }
    pool = {"cidr": cidr, "ranges": [{"start": first, "end": last}], "clusters": [NAME], "quarantine": "5s"}
    host = {"cluster": NAME, "allowEmulation": True, "overcommit": {"cpuPercent": 800}}
    return [
        _object("Cluster", NAME, {"network": {"bridge": "br0"}}),
        _object("IPPool", NAME, pool),
        _object("Flavor", NAME, {"cpu": "100m", "memory": "64Mi", "disk": "64Mi"}),
        _object("Image", NAME, source, namespace=NAMESPACE),
        *(_object("Host", each, host) for each in hosts),
    ]


def guest(name: str, **spec: Any) -> dict[str, Any]:
    """Return a guest with one address; `spec` adds fields."""
    usual = {
        "flavor": NAME,
        "image": {"name": NAME},
        "interfaces": [{"name": "eth0", "pool": NAME}],
    }
    return _object("Guest", name, {**usual, **spec}, namespace=NAMESPACE)


def _object(kind: str, name: str, spec: Mapping[str, Any], *, namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": "innkeeper.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": dict(spec),
    }
