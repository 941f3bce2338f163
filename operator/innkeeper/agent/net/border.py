"""What passes between guests and the host itself, as a table of nft's family `inet`. Pure.

Under NAT the host hides its guests' networks behind its own address. A bridge of ours that is no gateway leads to guests
alone: who begins something with the host there reaches nothing, but at an address that the admin gave the host on that
very bridge. All text is made of addresses that were parsed and of names that the API checked or that we made.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from innkeeper.agent.net.dhcp import served
from innkeeper.agent.net.ports import Port, Segment
from innkeeper.views.host import Network

TABLE = "innkeeper"

_V4 = 4


@dataclass(frozen=True)
class Border:
    """Networks that are hidden behind this host, and bridges where it is nobody."""

    hidden: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


def border_of(ports: Iterable[Port], network: Network) -> Border:
    """Return the border of a host with some ports."""
    found = list(ports)
    if network.is_behind_hosts:
        return Border(hidden=tuple(str(each.network) for each in served(found)))
    segments = {Segment(network.base, None), *(port.segment for port in found)}
    return Border(closed=tuple(sorted(each.bridge for each in segments if is_ours(each, network))))


def is_ours(segment: Segment, network: Network) -> bool:
    """Tell whether the agent makes the bridge of a segment."""
    return network.managed is not None or segment.vlan is not None


def table(border: Border, given: Mapping[str, Iterable[str]] | None = None) -> list[str]:
    """Return what takes the place of the table; nothing is left of it where there is nothing to say.

    `given` are the addresses that the admin gave the host on each closed bridge.
    """
    lines = [f"add table inet {TABLE}", f"delete table inet {TABLE}"]
    if border == Border():
        return lines
    rules = [*_hiding(border.hidden), *_closing(border.closed, given or {})]
    return [*lines, f"table inet {TABLE} {{", *rules, "}"]


def _hiding(networks: Iterable[str]) -> list[str]:
    rules = []
    for text in networks:
        network = ipaddress.ip_network(text)
        family = _family(network)
        rules.append(f"    {family} saddr {network} {family} daddr != {network} masquerade")
    head = ["  chain postrouting {", "    type nat hook postrouting priority srcnat; policy accept;"]
    return [*head, *rules, "  }"] if rules else []


def _closing(bridges: tuple[str, ...], given: Mapping[str, Iterable[str]]) -> list[str]:
    if not bridges:
        return []
    own = {
        each: sorted({ipaddress.ip_address(address) for address in given.get(each, ())}, key=str)
        for each in bridges
    }
    return [
        "  chain input {",
        "    type filter hook input priority filter; policy accept;",
        *(f'    iifname "{each}" jump to_host' for each in bridges),
        "  }",
        "  chain to_host {",
        "    jump known",
        # Who asks which groups are listened to: switches pass the host's own neighbour discovery by the answers.
        "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept",
        *(
            f'    iifname "{bridge}" ip6 daddr {each} accept'
            for bridge, addresses in own.items()
            for each in addresses
            if each.version != _V4 and each.is_link_local
        ),
        # Where the agent may not write sysctls the kernel's own one stays.
        "    ip6 daddr fe80::/10 drop",
        # `iif`: an address that the host has elsewhere is none of theirs.
        "    fib daddr . iif type != local drop",
        "  }",
        "  chain forward {",
        "    type filter hook forward priority filter; policy accept;",
        # Frames that stay on the bridge come by here, too, where br_netfilter is loaded.
        *(f'    iifname "{each}" oifname != "{each}" jump past_host' for each in bridges),
        "  }",
        "  chain past_host {",
        "    jump known",
        "    drop",
        "  }",
        "  chain known {",
        # `direction`: answers to what was begun behind the host, or by it; nothing that a guest began.
        "    ct state established,related ct direction reply accept",
        # A port that the admin published: what it leads to is another address by now. One of a service elsewhere is not.
        *(
            f'    iifname "{bridge}" ct status dnat ct original {_family(each)} daddr {each} accept'
            for bridge, addresses in own.items()
            for each in addresses
        ),
        "  }",
    ]


def _family(
    of: ipaddress.IPv4Network | ipaddress.IPv6Network | ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> str:
    return "ip" if of.version == _V4 else "ip6"
