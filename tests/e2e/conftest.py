"""One lab for all end-to-end tests: two hosts, an operator, an image server, real libvirt and QEMU.

It has a name and a subnet of its own, so it stands beside a demo. It is taken down at the end, and what it left would
be found by the next start.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import paths

from tests.kit import lab as kit_lab
from tests.kit import ssh

SUBNET = "10.78.0.0/24"
SIX = "fd00:78::/64"


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the key that logs in to guests."""
    return ssh.new_key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the image server's directory."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def lab(images: Path) -> Iterator[kit_lab.Lab]:
    """Start the lab with its Cluster, IPPool, Hosts and Images."""
    assert os.geteuid() == 0, "end-to-end tests make network namespaces: run them as root"
    running = kit_lab.Lab("e2e")
    running.hack("lab", "down")
    try:
        running.hack("lab", "up", "--subnet", SUBNET, "--images", str(images))
        running.apply(*infrastructure(images))
        running.hack("lab", "join")
        running.kubectl.run("wait", "--for=condition=Ready", "--timeout=120s", "host", "--all", deadline=150)
        running.kubectl.run("wait", "--for=condition=Ready", "--timeout=120s", "image", "--all", deadline=150)
        yield running
    finally:
        if not os.environ.get("INNKEEPER_KEEP_LAB"):
            running.hack("lab", "down")


def infrastructure(images: Path) -> list[dict[str, object]]:
    """Return what a pipeline applies: Cluster, IPPools, Hosts and Images; the Images' files are put where they belong."""
    built = paths.cache_root() / "guest-image"
    shutil.copy(built / "debian-12.qcow2", images)
    debian = json.loads((built / "debian-12.json").read_text())["qcow2"]["sha256"]
    idle = kit_lab.idle_image(images)
    host = {"cluster": "e2e", "allowEmulation": True, "overcommit": {"cpuPercent": 800}}
    return [
        _object("Cluster", "e2e", {"network": {"bridge": "br0"}}),
        _object(
            "IPPool",
            "e2e",
            {
                "cidr": SUBNET,
                "ranges": [{"start": "10.78.0.100", "end": "10.78.0.199"}],
                "gateway": "10.78.0.1",
                "clusters": ["e2e"],
                "quarantine": "5s",
            },
        ),
        _object("IPPool", "e2e-six", {"cidr": SIX, "clusters": ["e2e"], "quarantine": "5s"}),
        _object("Host", "host-a", host),
        _object("Host", "host-b", host),
        _image("debian-12", "debian-12.qcow2", form="qcow2", digest=f"sha256:{debian}"),
        _image("idle", "idle.raw", form="raw", digest=idle),
    ]


def _image(name: str, path: str, *, form: str, digest: str) -> dict[str, object]:
    image = _object(
        "Image", name, {"source": {"directory": {"path": path}}, "format": form, "digest": digest}
    )
    return {**image, "metadata": {"name": name, "namespace": "default"}}


def _object(kind: str, name: str, spec: object) -> dict[str, object]:
    return {
        "apiVersion": "innkeeper.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }
