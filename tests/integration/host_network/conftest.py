"""Hosts in namespaces: real bridges, real nft, real dnsmasq. They need root and none of libvirt."""

import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.clock import SystemClock
from tests.kit.host_net import HostNet, inside


@pytest.fixture
def site(tmp_path: Path) -> Iterator[HostNet]:
    """Make a host with a wire; the test lives in the host's network namespace."""
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    for each in (tmp_path, *tmp_path.parents):
        if not each.stat().st_mode & stat.S_IXOTH:
            each.chmod(0o711)  # dnsmasq reads its files as another user
    made = HostNet(f"ik{uuid.uuid4().hex[:6]}", tmp_path)
    made.make()
    try:
        with inside(made.host):
            yield made
    finally:
        made.remove()


@pytest.fixture
def network(site: HostNet) -> HostNetwork:
    """Give the network of the host as its agent has it."""
    return HostNetwork(site.directory / "network", clock=SystemClock(), registry=CollectorRegistry())
