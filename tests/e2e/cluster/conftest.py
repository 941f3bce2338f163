"""One real cluster for all tests here, with the chart installed as docs/how-to/try-on-a-real-cluster.md does it.

The operator comes first; a Host tells the keys that its orders are signed with; then agents come to the node.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import paths
from kit.container_image import images

from tests.kit import real_cluster, ssh
from tests.kit.real_cluster import RealCluster

ADDRESSES = {"cidr": "10.80.0.0/24", "ranges": [{"start": "10.80.0.100", "end": "10.80.0.199"}]}


@pytest.fixture(scope="module")
def cluster() -> Iterator[RealCluster]:
    """Start the cluster, or take the one that is given, and install operator, image server and agent."""
    assert os.geteuid() == 0, "a cluster makes namespaces and runs containers: run this as root"
    running = real_cluster.given()
    mine = running is None
    if mine:
        real_cluster.hack("cluster", "down", "--name", real_cluster.NAME)
    try:
        running = running or _own()
        running.install()
        running.apply(*_infrastructure(running.node))
        running.upgrade()
        for kind in ("host", "image"):
            running.kubectl.run(
                "wait", "--for=condition=Ready", "--timeout=200s", kind, "--all", deadline=220
            )
        yield running
    finally:
        if mine and not os.environ.get("INNKEEPER_KEEP_LAB"):
            real_cluster.hack("cluster", "down", "--name", real_cluster.NAME)


def _own() -> RealCluster:
    """Start a cluster, and give it the images of this checkout and those of the next version."""
    real_cluster.hack("image")
    real_cluster.hack("image", "--version", real_cluster.NEXT_VERSION)
    running = real_cluster.own()
    versions = (images.own_version(), real_cluster.NEXT_VERSION)
    archives = [str(images.Image(each, version).archive) for version in versions for each in images.TARGETS]
    real_cluster.hack("cluster", "load", "--name", real_cluster.NAME, *archives)
    return running


def _infrastructure(node: str) -> list[dict[str, Any]]:
    built = json.loads((paths.cache_root() / "guest-image" / "debian-12.json").read_text())
    source = {"directory": {"path": "debian-12.raw"}}
    digest = f"sha256:{built['raw']['sha256']}"
    host = {"cluster": "e2e", "allowEmulation": True, "overcommit": {"cpuPercent": 800}}
    image = _object("Image", "debian-12", {"source": source, "format": "raw", "digest": digest})
    image["metadata"]["namespace"] = "default"
    pool = {**ADDRESSES, "gateway": "10.80.0.1", "clusters": ["e2e"], "quarantine": "5s"}
    return [
        _object("Cluster", "e2e", {"network": {"bridge": "br0"}}),
        _object("IPPool", "e2e", pool),
        _object("Host", node, host),
        image,
    ]


def _object(kind: str, name: str, spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "innkeeper.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the key that logs in to guests, where the node finds it too."""
    shared = os.environ.get("INNKEEPER_E2E_SHARED")
    return ssh.new_key(tmp_path_factory.mktemp("key") if shared is None else Path(shared))
