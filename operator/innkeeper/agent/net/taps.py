"""The guests' taps: plugged in again where their bridge was made anew, left alone in whatever bridge they are.

The hypervisor makes a tap and plugs it in when its guest starts. A change of the Cluster's network moves nobody who runs,
so what is told as moved is a tap that was seen where it should be, and is elsewhere now.
"""

from collections.abc import Iterable

from innkeeper.agent.net.links import Link, LinkError, Links
from innkeeper.agent.net.ports import Port


class Taps:
    """The taps of this host, as they were seen in the bridges that they belong into."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}  # bridges by tap

    async def plug_in(self, links: Links, ports: Iterable[Port], *, bridge: Link) -> None:
        """Have the taps of some ports in their bridge, those that are there and in none. Their rules must be loaded.

        Raises:
            LinkError: the kernel refuses.
        """
        for port in ports:
            tap = links.get(port.device)
            if tap is None:
                self._seen.pop(port.device, None)
            elif tap.master in (None, bridge.index):
                await links.plug(tap, bridge=bridge)
                self._seen[port.device] = bridge.name

    def moved(self, links: Links, ports: Iterable[Port]) -> LinkError | None:
        """Return what to say of a tap that somebody put into another bridge: its guest is cut off."""
        found = {port.device: port for port in ports}
        self._seen = {device: bridge for device, bridge in self._seen.items() if device in found}
        names = {link.index: link.name for link in links}
        for device, seen in self._seen.items():
            tap = links.get(device)
            should = found[device].segment.bridge
            if tap is None or tap.master is None or seen != should:
                continue
            there = names.get(tap.master, "another network namespace")
            if there != should:
                return LinkError(
                    f"{device!r}, the tap of guest {found[device].guest_id}, is a port of {there!r} and no more of "
                    f"{should!r}: put it back with `ip link set {device} master {should}`"
                )
        return None
