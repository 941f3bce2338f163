"""The packet filter as text for nft (https://wiki.nftables.org, nft(8)). Pure.

A guest's frames pass only with its own MAC and addresses; DHCP runs between guests and this host's server alone; no
guest acts as a router or a DHCP server; a port of ours without rules is closed. What a guest may not send is counted for
each port, by why.
All text is made of addresses that were parsed and of names that we made: nothing that a user wrote gets in.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from innkeeper.agent.net.ports import PORT_PREFIX, SERVER_PREFIX, Port

TABLE = "innkeeper"
WHYS = ("mac", "vlan", "arp", "ipv4", "ipv6", "nd", "ra", "dhcp", "other")
"""Why a frame of a guest was dropped: the address that was not its own, or what it may not send."""

_NOBODY = str(ipaddress.IPv4Address(0))
_GUESTS = f"{PORT_PREFIX}*"
_SERVERS = f"{SERVER_PREFIX}*"
_FORWARD = f"""
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "{_GUESTS}" oifname "{_SERVERS}" jump asked
    iifname "{_SERVERS}" oifname "{_GUESTS}" jump answered
    oifname "{_SERVERS}" drop
    iifname "{_SERVERS}" drop
    iifname "{_GUESTS}" udp dport {{ 67, 547 }} drop
    oifname "{_GUESTS}" jump from_elsewhere
  }}
  chain asked {{
    udp dport {{ 67, 547 }} accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    drop
  }}
  chain answered {{
    udp sport . udp dport {{ 67 . 68, 547 . 546 }} accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    drop
  }}
  chain from_elsewhere {{
    udp sport {{ 67, 547 }} drop
    icmpv6 type {{ nd-router-advert, nd-redirect }} drop
  }}
  chain output {{
    type filter hook output priority filter; policy accept;
    oifname "{_SERVERS}" drop
    oifname "{_GUESTS}" jump from_elsewhere
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "{_SERVERS}" drop
    iifname "{_GUESTS}" ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 drop
    iifname "{_GUESTS}" udp dport {{ 67, 547 }} drop
  }}
"""


@dataclass(frozen=True)
class Nat:
    """Guests behind the host's own address: the networks they are in."""

    networks: tuple[str, ...]


def whole(ports: Iterable[Port], nat: Nat | None, *, gone: Iterable[str] = ()) -> str:
    """Return the whole filter. It takes the place of what is there in one transaction; counters keep their values.

    `gone` are devices whose ports are there and should not be.
    """
    found = sorted(ports, key=lambda port: port.device)
    lines = [
        f"add table bridge {TABLE}",
        f"flush table bridge {TABLE}",
        f"table bridge {TABLE} {{",
        "  map guests { type ifname : verdict; }",
        "  chain prerouting {",
        "    type filter hook prerouting priority -300; policy accept;",
        "    iifname vmap @guests",
        f'    iifname "{_GUESTS}" drop',
        "  }",
        _FORWARD.strip("\n"),
        "}",
        f"flush map bridge {TABLE} guests",
        *(line for port in found for line in opened(port)),
        *(line for device in gone for line in forgotten(device)),
        *_translation(nat),
    ]
    return "\n".join(lines) + "\n"


def opened(port: Port) -> list[str]:
    """Return what opens one port for its own addresses; repeated, it changes nothing but takes new addresses."""
    here = f"bridge {TABLE}"
    return [
        *(f"add counter {here} {counter_name(port, why)}" for why in WHYS),
        f"add chain {here} {port.device}",
        f"flush chain {here} {port.device}",
        *(f"add rule {here} {port.device} {rule}" for rule in _rules(port)),
        f'add element {here} guests {{ "{port.device}" : goto {port.device} }}',
    ]


def closed(device: str) -> list[str]:
    """Return what closes a port that was opened, and forgets it."""
    return [f'delete element bridge {TABLE} guests {{ "{device}" : goto {device} }}', *forgotten(device)]


def forgotten(device: str) -> list[str]:
    """Return what removes all that was kept of a port that is closed."""
    here = f"bridge {TABLE}"
    return [
        f"flush chain {here} {device}",
        f"delete chain {here} {device}",
        *(f"delete counter {here} {device}_{why}" for why in WHYS),
    ]


def counter_name(port: Port, why: str) -> str:
    """Return the name of the counter of what was dropped."""
    return f"{port.device}_{why}"


def device_and_why(counter: str) -> tuple[str, str]:
    """Return what a counter's name says."""
    device, _, why = counter.partition("_")
    return device, why


def link_local(mac: str) -> str:
    """Return the link-local address that a machine makes of its MAC (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def _rules(port: Port) -> list[str]:
    def drop(why: str) -> str:
        return f"counter name {counter_name(port, why)} drop"

    parsed = [ipaddress.ip_address(address.address) for address in port.addresses]
    fours = [str(address) for address in parsed if address.version == 4]  # noqa: PLR2004 - the family
    sixes = [str(address) for address in parsed if address.version == 6] + [link_local(port.mac)]  # noqa: PLR2004 - the family
    targets = _set(f"0x{int(ipaddress.IPv6Address(each)):032x}" for each in sixes)
    return [
        f"ether saddr != {port.mac} {drop('mac')}",
        f"ether type {{ 8021q, 8021ad }} {drop('vlan')}",
        f"ether type arp arp saddr ether != {port.mac} {drop('arp')}",
        # 0.0.0.0 asks whether an address is free before it is used (RFC 5227).
        *(
            f"ether type arp arp operation request arp saddr ip {_set([*fours, _NOBODY])} accept"
            for _ in fours[:1]
        ),
        *(f"ether type arp arp operation reply arp saddr ip {_set(fours)} accept" for _ in fours[:1]),
        f"ether type arp {drop('arp')}",
        f"ether type ip udp sport 67 {drop('dhcp')}",
        "ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept",
        *(f"ether type ip ip saddr {_set(fours)} accept" for _ in fours[:1]),
        f"ether type ip {drop('ipv4')}",
        f"ether type ip6 icmpv6 type {{ nd-router-advert, nd-redirect }} {drop('ra')}",
        f"ether type ip6 udp sport 547 {drop('dhcp')}",
        f"ether type ip6 icmpv6 type nd-neighbor-advert @th,64,128 != {targets} {drop('nd')}",
        f"ether type ip6 ip6 saddr :: icmpv6 type nd-neighbor-solicit @th,64,128 {targets} accept",
        f"ether type ip6 ip6 saddr :: icmpv6 type nd-neighbor-solicit {drop('nd')}",
        # Before it has an address a guest asks for routers, and says which groups it listens to (RFC 3810).
        "ether type ip6 ip6 saddr :: icmpv6 type { nd-router-solicit, mld-listener-report, mld2-listener-report } accept",
        # Nobody sends a piece of a packet from there but to hide what it is (RFC 6980).
        f"ether type ip6 ip6 saddr fe80::/10 exthdr frag exists {drop('ipv6')}",
        f"ether type ip6 ip6 saddr {_set(sixes)} accept",
        f"ether type ip6 {drop('ipv6')}",
        drop("other"),
    ]


def _translation(nat: Nat | None) -> list[str]:
    lines = [f"add table inet {TABLE}", f"delete table inet {TABLE}"]
    if nat is None or not nat.networks:
        return lines
    rules = []
    for text in nat.networks:
        network = ipaddress.ip_network(text)
        family = "ip" if network.version == 4 else "ip6"  # noqa: PLR2004 - the family
        rules.append(f"    {family} saddr {network} {family} daddr != {network} masquerade")
    return [
        *lines,
        f"table inet {TABLE} {{",
        "  chain postrouting {",
        "    type nat hook postrouting priority srcnat; policy accept;",
        *rules,
        "  }",
        "}",
    ]


def _set(members: Iterable[str]) -> str:
    return "{ " + ", ".join(members) + " }"
