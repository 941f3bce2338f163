"""One real cluster for all tests here, with the chart installed as docs/how-to/try-on-a-real-cluster.md does it.

The operator comes first; a Host tells the keys that its orders are signed with; then agents come to the node.
"""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from kit import paths
from kit.container_image import images
from pytest_kubernetes.providers.base import AClusterManager

from tests.kit import kind_cluster, real_cluster
from tests.kit.real_cluster import RealCluster, RemoteKey

PLUG_IN = ("k8s_provider", "k8s_kubeconfig", "k8s_kubeconfig_override")
"""Options of pytest-kubernetes that ask it for a cluster."""
KEEP = bool(os.environ.get("INNKEEPER_KEEP_LAB"))
ADDRESSES = {"cidr": "10.80.0.0/24", "ranges": [{"start": "10.80.0.100", "end": "10.80.0.199"}]}


@pytest.fixture(scope="module")
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealCluster]:
    """Start the cluster, or take the one that is given, and install operator, image server and agent."""
    given = real_cluster.given()
    if given is not None:
        start: AbstractContextManager[RealCluster] = nullcontext(given)
    elif any(request.config.getoption(each) for each in PLUG_IN):
        provider = request.getfixturevalue("k8s_manager")()
        start = _of_kind(provider, tmp_path_factory.mktemp("kind"))
    else:
        start = _own()
    with start as running:
        running.install()
        running.apply(*_infrastructure(running.node))
        running.upgrade()
        for kind in ("host", "image"):
            running.kubectl.run(
                "wait", "--for=condition=Ready", "--timeout=200s", kind, "--all", deadline=220
            )
        yield running


@contextmanager
def _own() -> Iterator[RealCluster]:
    """Start a cluster of this machine's own with the images of this checkout and those of the next version."""
    assert os.geteuid() == 0, "a cluster makes namespaces and runs containers: run this as root"
    real_cluster.hack("cluster", "down", "--name", real_cluster.NAME)
    try:
        archives = _archives()
        running = real_cluster.own()
        real_cluster.hack("cluster", "load", "--name", real_cluster.NAME, *map(str, archives))
        yield running
    finally:
        if not KEEP:
            real_cluster.hack("cluster", "down", "--name", real_cluster.NAME)


@contextmanager
def _of_kind(provider: type[AClusterManager], directory: Path) -> Iterator[RealCluster]:
    """Have pytest-kubernetes start one of kind with the same images."""
    with kind_cluster.running(provider, directory, archives=_archives, keep=KEEP) as environment:
        running = real_cluster.given(environment)
        assert running is not None
        yield running


def _archives() -> list[Path]:
    """Build the images of this checkout, and those of the next version."""
    real_cluster.hack("image")
    real_cluster.hack("image", "--version", real_cluster.NEXT_VERSION)
    versions = (images.own_version(), real_cluster.NEXT_VERSION)
    return [images.Image(each, version).archive for version in versions for each in images.TARGETS]


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
def key(cluster: RealCluster) -> Iterator[RemoteKey]:
    """Make the key that logs in to guests: on the node, which it never leaves."""
    with cluster.new_key() as made:
        yield made
