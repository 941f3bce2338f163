"""The packet filter as text for nft (https://wiki.nftables.org, nft(8)). Pure.

Each guest's port has a chain of `port_rules`; a port of ours without one is closed. Here is what holds for all of them:
DHCP runs between guests and this host's server alone, and nobody else tells a guest what its router is.
All text is made of addresses that were parsed and of names that we made: nothing that a user wrote gets in.
"""

from collections.abc import Iterable

from innkeeper.agent.net.border import TABLE
from innkeeper.agent.net.port_rules import WHYS, counter_name, rules_of
from innkeeper.agent.net.ports import PORT_PREFIX, SERVER_PREFIX, Port

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
    udp dport {{ 68, 546 }} drop
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


def whole(ports: Iterable[Port], *, gone: Iterable[str] = ()) -> str:
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
    ]
    return "\n".join(lines) + "\n"


def opened(port: Port) -> list[str]:
    """Return what opens one port for its own addresses; repeated, it changes nothing but takes new addresses."""
    here = f"bridge {TABLE}"
    return [
        *(f"add counter {here} {counter_name(port, why)}" for why in WHYS),
        f"add chain {here} {port.device}",
        f"flush chain {here} {port.device}",
        *(f"add rule {here} {port.device} {rule}" for rule in rules_of(port)),
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
