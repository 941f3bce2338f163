"""Addresses and the network with real guests on two hosts: they stay, they reach each other, they cannot be stolen."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit import spoof
from tests.kit.host_net import Ear
from tests.kit.lab import Lab, guest, until
from tests.kit.ssh import pings, public, ssh

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

MARK = b"a frame of nobody"
SPOOF = Path(spoof.__file__).read_text()
DUAL = [{"name": "eth0", "addresses": [{"pool": "e2e"}, {"pool": "e2e-six"}]}]
TWO = [
    {"name": "eth0", "addresses": [{"pool": "e2e"}]},
    {"name": "eth1", "addresses": [{"pool": "back"}, {"pool": "back-six"}]},
]
IN_USE = "10.78.0.150"
IPADDRESSES = "ipaddresses.innkeeper.dev"  # Kubernetes has a kind of that name, too


def debian(name: str, key: Path, **spec: Any) -> dict[str, Any]:
    """Return a Guest of the Debian image that is Ready once it takes ssh."""
    usual = {
        "resources": {"cpu": "1", "memory": "512Mi", "disk": "4Gi"},
        "image": {"name": "debian-12"},
        "sshKeys": [public(key)],
        "readinessProbe": {"tcp": {"port": 22}, "timeoutSeconds": 3, "failureThreshold": 10},
    }
    return guest(name, **{**usual, **spec})


@pytest.fixture(scope="module")
def pair(lab: Lab, key: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Run two dual-stack guests, each on a host of its own."""
    names = ("left", "right")
    apart = {"antiAffinity": {"required": [{"selector": {"matchLabels": {"pair": "yes"}}}]}}
    for name in names:
        one = debian(name, key, interfaces=DUAL, placement=apart)
        one["metadata"]["labels"] = {"pair": "yes"}
        lab.apply(one)
    yield {name: lab.wait_ready(name, reason="Running", within_s=240) for name in names}
    lab.kubectl.run("delete", "guest", *names, "--timeout=90s", deadline=120)


def addresses(found: dict[str, Any]) -> list[str]:
    """Return a guest's addresses, IPv4 first."""
    return sorted((each["address"] for each in found["status"]["addresses"]), key=lambda each: ":" in each)


def forget_cloud_init(key: Path, address: str, cards: str) -> None:
    """Have a guest ask by DHCP and listen to routers on these cards, in place of what cloud-init wrote."""
    settings = f"[Match]\nName={cards}\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\n"
    ask = (
        "sudo tee /etc/systemd/network/05-dhcp.network >/dev/null && sudo networkctl reload && "
        f"sudo networkctl reconfigure {cards}"
    )
    assert ssh(key, address, ask, stdin=settings) is not None


def test_ready_means_that_it_answers(pair: dict[str, dict[str, Any]], key: Path) -> None:
    """`kubectl wait` is worth its name: ssh answers at once, nothing is tried twice."""
    for found in pair.values():
        assert ssh(key, addresses(found)[0], "true") is not None


def test_dual_stack_guests_reach_each_other_across_hosts(pair: dict[str, dict[str, Any]], key: Path) -> None:
    left, right = pair["left"], pair["right"]
    assert left["status"]["host"] != right["status"]["host"]
    for address in addresses(right):
        said = ssh(key, addresses(left)[0], f"ping -n -c 2 -W 5 {address}")
        assert said is not None, f"{address} does not answer"
    name = ssh(key, addresses(left)[0], "ip -o -4 addr show dev eth0")
    assert name is not None
    assert addresses(left)[0] in name


def test_what_dhcp_says_is_what_cloud_init_said(pair: dict[str, dict[str, Any]], key: Path) -> None:
    """The guest forgets what cloud-init wrote and asks: same addresses, both families, and its name server's word."""
    four, six = addresses(pair["right"])
    forget_cloud_init(key, four, "eth0")

    def leased() -> bool:
        # Leases do not end, so `ip` does not call them dynamic; the length of a DHCPv6 address is 128.
        shown = ssh(key, four, "networkctl status eth0 --no-pager; ip -o -6 addr show dev eth0") or ""
        return f"{four} (DHCP4" in shown and f" {six}/128 " in shown

    until(leased, what="both addresses by DHCP", within_s=60)
    undo = "sudo rm /etc/systemd/network/05-dhcp.network && sudo networkctl reload"
    assert ssh(key, four, undo) is not None


def test_the_guest_agent_can_be_asked(lab: Lab, pair: dict[str, dict[str, Any]]) -> None:
    """The probe is changed under the running guest: at a closed port it is not ready, by its guest agent it is."""
    assert pair["left"]["status"]["host"]
    probe(lab, {"tcp": {"port": 7}, "failureThreshold": 1})
    until(lambda: "port 7" in lab.condition("left").get("message", ""), what="a probe that fails")
    probe(lab, {"tcp": None, "guestAgent": {}, "timeoutSeconds": 3})
    lab.wait_ready("left", reason="Running", within_s=60)
    probe(lab, {"guestAgent": None, "tcp": {"port": 22}, "failureThreshold": 10})
    lab.wait_ready("left", reason="Running", within_s=60)


def probe(lab: Lab, change: dict[str, Any]) -> None:
    """Change the readiness probe of the guest `left`."""
    patch = json.dumps({"spec": {"readinessProbe": change}})
    lab.kubectl.run("patch", "guest", "left", "--type=merge", "-p", patch)


def test_a_guest_that_lies_reaches_nobody(lab: Lab, pair: dict[str, dict[str, Any]], key: Path) -> None:
    """MAC, IPv4, IPv6, ARP, neighbour discovery, router and DHCP server: all dropped and all counted."""
    left = pair["left"]
    four, six = addresses(left)
    mac = left["status"]["addresses"][0]["mac"]
    lies = spoof.lies(mac, four, six, MARK)
    assert len(lies) >= 22
    ear = Ear(lab.plan.switch, "up0")
    try:
        said = ssh(key, four, f"sudo python3 - eth0 {four} {six} {MARK.hex()}", stdin=SPOOF)
        assert said is not None
        assert said.split() == ["sent", str(len(lies))]
        # An honest frame behind them: who hears it would have heard the others.
        assert ssh(key, four, "ping -n -c 1 -W 5 10.78.0.1") is not None
        ear.hear(spoof.octets(mac))
        assert not spoof.heard(ear.frames, [lie for lie, _ in lies.values()], MARK)
    finally:
        ear.close()
    expected = {why for _, why in lies.values()}

    def counted() -> bool:
        dropped = lab.dropped(left["status"]["host"], lab.guest_id("left"))
        return {why for why, count in dropped.items() if count > 0} == expected

    until(counted, what="every trick to be counted", within_s=30)
    right = lab.dropped(pair["right"]["status"]["host"], lab.guest_id("right"))
    # Before it has an address, a guest tells which groups it listens to from 0.0.0.0: no address of its own (RFC 3376).
    lies_of_right = {why: count for why, count in right.items() if count and why != "ipv4"}
    assert not lies_of_right, f"the honest one was dropped frames: {lies_of_right}"


def test_the_address_outlives_everything(lab: Lab, pair: dict[str, dict[str, Any]], key: Path) -> None:
    """A power cycle, a new agent, a reboot of the host, a new operator: the same addresses, and they answer."""
    right = pair["right"]
    before, host = addresses(right), right["status"]["host"]

    lab.kubectl.run("patch", "guest", "right", "--type=merge", "-p", '{"spec":{"power":"Stopped"}}')
    lab.wait_ready("right", reason="Stopped", within_s=120)
    lab.kubectl.run("patch", "guest", "right", "--type=merge", "-p", '{"spec":{"power":"Running"}}')
    assert addresses(lab.wait_ready("right", reason="Running", within_s=240)) == before

    lab.restart_agent(host)
    lab.restart_operator()
    assert ssh(key, before[0], "true") is not None
    assert addresses(lab.wait_ready("right", reason="Running", within_s=60)) == before

    lab.reboot(host)
    until(lambda: lab.condition("right").get("reason") != "Running", what="the reboot to show", within_s=60)
    assert addresses(lab.wait_ready("right", reason="Running", within_s=240)) == before
    assert ssh(key, before[0], "cat /etc/hostname") == "right\n"


def test_an_address_in_use_on_the_wire_is_not_given(lab: Lab) -> None:
    """A fixed one waits for it, with the MAC of who has it, and gets it once it is free."""
    uplink = f"ik{lab.plan.tag}"
    subprocess.run(["ip", "addr", "add", f"{IN_USE}/24", "dev", uplink], check=True)
    mac = Path(f"/sys/class/net/{uplink}/address").read_text().strip()
    try:
        fixed = [{"name": "eth0", "addresses": [{"pool": "e2e", "address": IN_USE}]}]
        lab.apply(guest("insists", interfaces=fixed))

        def told() -> bool:
            return any(
                mac in each["message"] for each in lab.guest("insists")["status"].get("conditions", [])
            )

        until(told, what="the MAC of who has the address", within_s=60)
    finally:
        subprocess.run(["ip", "addr", "delete", f"{IN_USE}/24", "dev", uplink], check=True)
    built = lab.wait_ready("insists", reason="Running", within_s=120)
    assert addresses(built) == [IN_USE]
    lab.kubectl.run("delete", "guest", "insists", "--timeout=90s", deadline=120)


def test_the_next_address_is_given_where_one_is_in_use(lab: Lab) -> None:
    """The first of the pool is another machine's: it rests, and the guest runs with the second."""
    uplink = f"ik{lab.plan.tag}"
    spec = {"cidr": "10.76.0.0/24", "gateway": "10.76.0.1", "clusters": ["e2e"], "order": "Lowest"}
    pool = {"kind": "IPPool", "metadata": {"name": "taken"}, "spec": spec}
    subprocess.run(["ip", "addr", "add", "10.76.0.2/24", "dev", uplink], check=True)
    try:
        lab.apply({"apiVersion": "innkeeper.dev/v1alpha1", **pool})
        lab.apply(guest("yields", interfaces=[{"name": "eth0", "addresses": [{"pool": "taken"}]}]))
        built = lab.wait_ready("yields", reason="Running", within_s=60)
    finally:
        subprocess.run(["ip", "addr", "delete", "10.76.0.2/24", "dev", uplink], check=True)
    assert addresses(built) == ["10.76.0.3"]
    assert built["status"]["epoch"] == 2, "the host refused once"
    rests, held = (lab.kubectl.get(IPADDRESSES, f"default.10.76.0.{last}") for last in (2, 3))
    assert rests is not None
    assert held is not None
    assert (rests["spec"].get("owner"), bool(rests["spec"]["releasedAt"])) == (None, True)
    assert held["spec"]["owner"]["name"] == "yields"
    lab.kubectl.run("delete", "guest", "yields", "--timeout=90s", deadline=120)
    lab.kubectl.run("delete", "ippool", "taken", "--timeout=60s", deadline=90)


@pytest.fixture
def back(lab: Lab) -> Iterator[None]:
    """Make a second network with gateways of its own, and a router of it on the wire."""
    pools = {
        "back": {"cidr": "10.74.0.0/24", "gateway": "10.74.0.1"},
        "back-six": {"cidr": "fd00:74::/64", "gateway": "fe80::74"},
    }
    for name, spec in pools.items():
        pool = {"kind": "IPPool", "metadata": {"name": name}, "spec": {**spec, "clusters": ["e2e"]}}
        lab.apply({"apiVersion": "innkeeper.dev/v1alpha1", **pool})
    router = ["10.74.0.1/24", "dev", f"ik{lab.plan.tag}"]
    subprocess.run(["ip", "addr", "add", *router], check=True)
    yield
    subprocess.run(["ip", "addr", "delete", *router], check=True)
    lab.kubectl.run("delete", "guest", "twofold", "--ignore-not-found", "--timeout=90s", deadline=120)
    lab.kubectl.run("delete", "ippool", *pools, "--timeout=60s", deadline=90)


@pytest.mark.usefixtures("back")
def test_a_guest_in_two_networks_has_one_default_route_of_each_family(lab: Lab, key: Path) -> None:
    """IPv6 leads over the second card, the first whose pool has a gateway; cloud-init says so, then DHCP does."""
    lab.apply(debian("twofold", key, interfaces=TWO))
    built = lab.wait_ready("twofold", reason="Running", within_s=240)
    of = {each["address"]: each["interface"] for each in built["status"]["addresses"]}
    assert sorted(of.values()) == ["eth0", "eth1", "eth1"]
    first, second, _ = sorted(of, key=lambda each: (of[each], ":" in each))

    def is_as_it_should_be() -> bool:
        shown = ssh(
            key, first, "ip -o addr show scope global; ip -4 route show default; ip -6 route show default"
        )
        words = [line.split() for line in (shown or "").splitlines()]
        held = {line[3].partition("/")[0]: line[1] for line in words if line[2:3] in (["inet"], ["inet6"])}
        leads = [line[1:5] for line in words if line[:1] == ["default"]]
        return held == of and leads == [
            ["via", "10.78.0.1", "dev", "eth0"],
            ["via", "fe80::74", "dev", "eth1"],
        ]

    until(is_as_it_should_be, what="its addresses and routes by cloud-init", within_s=30)
    assert ssh(key, first, "ping -n -c 2 -W 5 -I eth1 10.74.0.1") is not None
    forget_cloud_init(key, first, "eth0 eth1")

    def asked() -> bool:
        shown = ssh(key, first, "networkctl status eth0 eth1 --no-pager") or ""
        return all(f"{each} (DHCP4" in shown for each in (first, second)) and is_as_it_should_be()

    until(asked, what="the same by DHCP and router advertisements", within_s=90)


def test_a_guest_that_does_not_answer_is_not_ready(lab: Lab) -> None:
    """The idle image has no network: its machine runs, and Ready says what it does not answer."""
    lab.apply(guest("mute", readinessProbe={"ping": {}}))
    until(lambda: "ping" in lab.condition("mute").get("message", ""), what="the probe's word", within_s=60)
    mute = lab.condition("mute")
    assert (mute["status"], mute["reason"]) == ("False", "NotAnswering")
    lab.kubectl.run("patch", "guest", "mute", "--type=merge", "-p", '{"spec":{"readinessProbe":null}}')
    found = lab.wait_ready("mute", reason="Running")
    assert not pings(addresses(found)[0])
    lab.kubectl.run("delete", "guest", "mute", "--timeout=90s", deadline=120)
