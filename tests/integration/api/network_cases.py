"""Interfaces of Guests and networks of IPPools: what the API server admits, and what it refuses with which message."""

from typing import Any

from tests.integration.api.objects import good, v6_pool

OWN_MAC = "02:00:00:00:00:07"


def asking(*addresses: str) -> list[dict[str, str]]:
    return [{"pool": "a", "address": address} for address in addresses]


TWICE: list[list[dict[str, Any]]] = [
    [{"addresses": asking("10.7.0.9")}, {"name": "eth1", "addresses": asking("10.7.0.9")}],
    [{"addresses": asking("10.7.0.9", "10.7.0.9")}],
    [
        {"addresses": asking("10.7.0.9", "2001:db8::7")},
        {"name": "eth1", "addresses": asking("10.7.0.8", "2001:DB8:0::7")},
    ],
]

GOOD_NETWORKS = [
    good(
        "Guest",
        interfaces=[
            {"addresses": asking("10.7.0.9", "2001:db8::7"), "mac": "06:00:00:00:00:01"},
            {"name": "eth1", "addresses": asking("10.7.0.8", "2001:db8::8"), "mac": "ee:00:00:00:00:01"},
        ],
    ),
]

REFUSED_NETWORKS: list[tuple[dict[str, Any], str]] = [
    (good("Guest", drop="interfaces"), "spec.interfaces: Required value"),
    (good("Guest", interfaces=[]), "spec.interfaces in body should have at least 1 items"),
    (
        good("Guest", interfaces=[{"pool": "a", "name": f"eth{index}"} for index in range(9)]),
        "spec.interfaces: Too many: 9",
    ),
    (good("Guest", interfaces=[{"pool": "a"}, {"pool": "b"}]), "spec.interfaces[1]: Duplicate value"),
    (good("Guest", interfaces=[{}]), "set exactly one of pool and addresses"),
    (
        good("Guest", interfaces=[{"pool": "a", "addresses": [{"pool": "a"}]}]),
        "set exactly one of pool and addresses",
    ),
    (good("Guest", interfaces=[{"addresses": []}]), "addresses in body should have at least 1 items"),
    (good("Guest", interfaces=[{"addresses": [{"pool": "a"}] * 3}]), "addresses: Too many: 3"),
    (
        good("Guest", interfaces=[{"addresses": [{"address": "10.7.0.9"}]}]),
        "set exactly one of pool and poolSelector",
    ),
    (
        good("Guest", interfaces=[{"addresses": [{"pool": "a", "address": "10.7.0.300"}]}]),
        "write an IP address: 192.0.2.7, or 2001:db8::7",
    ),
    *(
        (
            good("Guest", interfaces=[{"pool": "a", "mac": mac}]),
            "take a MAC that is unicast and locally administered: its second digit is 2, 6, a or e",
        )
        for mac in ("01:00:5e:00:00:01", "00:1b:21:00:00:01", "03:00:00:00:00:01", "fe:00:00:00:00:01")
    ),
    (
        good("Guest", interfaces=[{"pool": "a", "mac": "02-00-00-00-00-07"}]),
        "spec.interfaces[0].mac in body should match",
    ),
    (
        good("Guest", interfaces=[{"pool": "a", "mac": OWN_MAC}, {"pool": "a", "name": "b", "mac": OWN_MAC}]),
        "each interface needs a mac of its own: take another one, or leave it out",
    ),
    *(
        (
            good("Guest", interfaces=interfaces),
            "an address can be asked for once in a Guest: take another one, or leave it out",
        )
        for interfaces in TWICE
    ),
    (
        good("Guest", interfaces=[{"pool": "a", "name": "eth0/../x"}]),
        "spec.interfaces[0].name in body should match",
    ),
    (good("IPPool", vlan=0), "spec.vlan in body should be greater than or equal to 1"),
    (good("IPPool", cidr="10.7.0.0"), "cidr must be a network, for example 192.0.2.0/24 or 2001:db8::/64"),
    (good("IPPool", cidr="2001:db8::/64"), "ranges must lie inside cidr"),
    (v6_pool(cidr="2001:db8::1/64"), "cidr must begin with the network's first address"),
    (v6_pool(cidr="2001:db8::/127"), "of IPv6 from /32 to /126"),
    (v6_pool(cidr="::/0"), "of IPv6 from /32 to /126"),
    (good("IPPool", cidr="0.0.0.0/0"), "the prefix of cidr must be from /8 to /30"),
    *(
        (
            good("IPPool", drop="ranges", cidr=cidr, gateway=None, exclude=[]),
            "cidr is for loopback, link-local addresses, multicast, or reserved: take a network that machines may have",
        )
        for cidr in ("127.0.0.0/24", "0.0.0.0/8", "169.254.0.0/16", "239.0.0.0/8", "255.255.255.0/24")
    ),
    *((v6_pool(cidr=cidr), "cidr is for loopback, link-local") for cidr in ("fe80::/64", "ff02::/32")),
    (v6_pool(gateway="2001:db9::1"), "gateway must lie inside cidr, or be a link-local address"),
    (v6_pool(mtu=1000), "IPv6 needs an mtu of at least 1280"),
    (
        good("IPPool", reservations=[{"address": "10.8.0.1", "owner": "a", "reason": "b"}]),
        "reservations must lie inside cidr",
    ),
    (
        good("IPPool", reservations=[{"address": "10.7.0.5", "owner": "a"}]),
        "spec.reservations[0].reason: Required value",
    ),
    (good("IPPool", mtu=100), "spec.mtu in body should be greater than or equal to 576"),
    (good("IPPool", searchDomains=["a b"]), "spec.searchDomains[0] in body should match"),
    (good("IPPool", order="Sorted"), 'spec.order: Unsupported value: "Sorted"'),
    (good("IPPool", maxPerNamespace=0), "spec.maxPerNamespace in body should be greater than or equal to 1"),
    (
        good("IPPool", clusterSelector={"matchLabels": {"a b": "c"}}),
        "a key of matchLabels is no label: write NAME or PREFIX/NAME",
    ),
    (
        good("IPPool", clusterSelector={"matchExpressions": [{"key": "a", "operator": "In"}]}),
        "In and NotIn need values; Exists and DoesNotExist take none",
    ),
    (good("IPPool", clusterSelector={}), "an empty selector would select everything"),
    (
        good("IPPool", clusterSelector={"matchLabels": {"a": "b"}}),
        "set exactly one of clusters and clusterSelector",
    ),
    (good("IPPool", cidr="10.7.0.1/24"), "cidr must begin with the network's first address"),
    (good("IPPool", cidr="10.7.0.0/31"), "the prefix of cidr must be from /8 to /30"),
    (good("IPPool", cidr="8.0.0.0/7"), "the prefix of cidr must be from /8 to /30"),
    (good("IPPool", ranges=[{"start": "10.8.0.1", "end": "10.7.0.9"}]), "ranges must lie inside cidr"),
    (good("IPPool", ranges=[{"start": "10.7.0.1", "end": "10.7.1.0"}]), "ranges must lie inside cidr"),
    (good("IPPool", ranges=[{"start": "10.7.0.100", "end": "10.7.0.20"}]), "start must not lie behind end"),
    (good("IPPool", ranges=[{"start": "10.7.0.300", "end": "10.7.0.20"}]), "write an IP address: 192.0.2.7"),
    (good("IPPool", exclude=["10.8.0.1"]), "exclude must lie inside cidr"),
    (good("IPPool", exclude=["10.8.0.0/28"]), "exclude must lie inside cidr"),
    (good("IPPool", exclude=["10.7.0.0/16"]), "exclude must lie inside cidr"),
    (good("IPPool", exclude=["10.7.0.1/28"]), "exclude takes addresses and networks"),
    (good("IPPool", exclude=["the first"]), "exclude takes addresses and networks"),
    (good("IPPool", gateway="10.8.0.1"), "gateway must lie inside cidr"),
    (good("IPPool", gateway="fe80::1"), "gateway must lie inside cidr"),
    (good("IPPool", dns=["one.one"]), "write an IP address: 192.0.2.7"),
    (good("IPPool", quarantine="5 minutes"), "spec.quarantine in body should match"),
    (good("IPPool", addressSpace="a.b"), "spec.addressSpace in body should match"),
    (good("IPPool", clusters=[]), "spec.clusters in body should have at least 1 items"),
    (good("IPPool", drop="clusters"), "set exactly one of clusters and clusterSelector"),
    (good("IPPool", "p" * 64), "an IPPool's name serves as a label's value: take at most 63 characters"),
]
