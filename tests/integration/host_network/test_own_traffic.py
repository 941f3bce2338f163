"""A host with an address of its own on the bridge that its agent made: its containers go on, no guest gets past it."""

import contextlib
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.ports import ports_of
from innkeeper.views.host import ManagedBridge, Network
from tests.kit import spoof
from tests.kit.agent_orders import order
from tests.kit.host_net import HostNet, inside, ip, pings

pytestmark = pytest.mark.lab

UPLINKED = Network(managed=ManagedBridge(uplink="eth0"))
BRIDGE = "innkeeper0"
HOST, WIRE, GUEST, CONTAINER, SERVICE = "10.0.0.7", "10.0.0.2", "10.0.0.11", "172.30.0.2", "10.96.0.1"
PUBLISHED = 8080
# What Docker and kube-proxy do: a port of the host, and an address of no machine, lead to a container.
CONTAINERS = f"""
table ip containers {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    fib daddr type local tcp dport {PUBLISHED} dnat to {CONTAINER}:80
    ip daddr {SERVICE} tcp dport {PUBLISHED} dnat to {CONTAINER}:80
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr 172.30.0.0/24 oifname != "docker0" masquerade
  }}
}}
"""


@dataclass(frozen=True)
class Scene:
    """Namespaces of a container behind the host and of a guest on its bridge."""

    container: str
    guest: str


@pytest.fixture
async def scene(site: HostNet, network: HostNetwork) -> Scene:
    """Give the host an address on its bridge, a container behind it, and a guest that takes it for its router."""
    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    await network.set_right(Wanted(UPLINKED, (order(),)))
    ip("-n", site.host, "addr", "add", f"{HOST}/24", "dev", BRIDGE)
    ip("-n", site.host, "addr", "add", "198.51.100.7/32", "dev", "lo")
    ip("-n", site.wire, "addr", "add", f"{WIRE}/24", "dev", "eth0")
    container = f"{site.name}-cont"
    ip("netns", "add", container)
    site.guests.append(container)
    ip("-n", site.host, "link", "add", "docker0", "type", "veth", "peer", "name", "eth0", "netns", container)
    ip("-n", site.host, "addr", "add", "172.30.0.1/24", "dev", "docker0")
    ip("-n", container, "addr", "add", f"{CONTAINER}/24", "dev", "eth0")
    for namespace, device in ((site.host, "docker0"), (container, "eth0")):
        ip("-n", namespace, "link", "set", device, "up")
    ip("-n", container, "route", "add", "default", "via", "172.30.0.1")
    ip("netns", "exec", site.host, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    load(CONTAINERS)
    guest = site.plug(ports_of(order(), UPLINKED)[0], bridge=BRIDGE)
    ip("-n", guest, "addr", "add", f"{GUEST}/24", "dev", "eth0")
    for each in (guest, site.wire):
        ip("-n", each, "route", "add", "default", "via", HOST)
    await network.set_right(Wanted(UPLINKED, (order(),)))  # it sees the address
    return Scene(container, guest)


def load(rules: str) -> None:
    """Load rules of nft where the test lives: at the host."""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


@contextlib.contextmanager
def serving(namespace: str) -> Iterator[None]:
    """Take connections at port 80."""
    with inside(namespace), socket.create_server(("", 80)):
        yield


def reaches(namespace: str, address: str, port: int) -> bool:
    """Tell whether a connection from a namespace is taken."""
    with inside(namespace):
        try:
            socket.create_connection((address, port), timeout=2.0).close()
        except OSError:
            return False
    return True


async def test_a_container_of_the_host_gets_its_answers(site: HostNet, scene: Scene) -> None:
    """It begins, from the wire and from a guest comes the answer."""
    assert pings(scene.container, WIRE)
    assert pings(scene.container, GUEST)
    with serving(site.wire):
        assert reaches(scene.container, WIRE, 80)


async def test_a_published_port_is_reached_at_the_address_on_that_bridge_alone(
    site: HostNet, scene: Scene
) -> None:
    """Neither an address that the host has elsewhere nor one of a service inside leads there."""
    with serving(scene.container):
        for namespace in (site.wire, scene.guest):
            assert reaches(namespace, HOST, PUBLISHED)
            assert not reaches(namespace, "198.51.100.7", PUBLISHED)
            assert not reaches(namespace, SERVICE, PUBLISHED)


async def test_nothing_that_a_guest_begins_is_passed_on(site: HostNet, scene: Scene) -> None:
    with serving(scene.container):
        for namespace in (scene.guest, site.wire):
            assert not reaches(namespace, CONTAINER, 80)
            assert not pings(namespace, CONTAINER)


async def test_an_answer_to_another_address_of_the_host_arrives(site: HostNet, scene: Scene) -> None:
    """It asked from there; who asks it there is not heard."""
    with serving(site.wire), inside(site.host):
        source = ("198.51.100.7", 0)
        socket.create_connection((WIRE, 80), timeout=2.0, source_address=source).close()
    assert not pings(site.wire, "198.51.100.7")
    assert not pings(scene.guest, "198.51.100.7")


async def test_the_host_says_which_groups_it_listens_to(site: HostNet, network: HostNetwork) -> None:
    """A switch that snoops on MLD passes neighbour discovery by such answers alone."""
    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    await network.set_right(Wanted(UPLINKED, ()))
    ip("-n", site.host, "addr", "add", "fd00:9::7/64", "dev", BRIDGE, "nodad")
    wire = site.ear(site.wire)
    mac = "52:54:00:00:00:01"
    to_all_nodes = bytes.fromhex("333300000001")
    wire.send(to_all_nodes + spoof.frame(mac, 0x86DD, question_of_mld(spoof.link_local(mac)))[6:])
    # An answer of version 1 is one to this question: unasked a host speaks version 2.
    solicited_node = bytes.fromhex("ff0200000000000000000001ff000007")
    answer = b""
    while solicited_node not in answer:
        answer = wire.hear(bytes.fromhex("3a000502000001008300"), within_s=30.0)


def question_of_mld(source: str) -> bytes:
    """Return a packet that asks all nodes for all groups (RFC 2710), to be answered within 100 ms."""
    body = struct.pack("!BBHHH", 130, 0, 0, 100, 0) + bytes(16)
    packet = bytearray(spoof.ip6(source, 0, b"\x3a\x00\x05\x02\x00\x00\x01\x00" + body))
    packet[7] = 1
    pseudo = bytes(packet[8:40]) + struct.pack("!II", len(body), 58) + body
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    total = (total & 0xFFFF) + (total >> 16)
    packet[50:52] = struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
    return bytes(packet)
