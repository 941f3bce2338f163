"""The guests' taps: plugged in again where their bridge was made anew, left alone in whatever bridge they are.

The hypervisor makes a tap and plugs it in when its guest starts; that fails where somebody was faster. So none is
plugged in but one that two looks in a row found in no bridge. A change of the Cluster's network moves nobody who runs,
so what is told as moved is a tap that was seen where it should be, and is elsewhere now.
"""

from collections.abc import Iterable

from innkeeper.agent.net.links import Link, LinkError, Links
from innkeeper.agent.net.ports import Port


class Taps:
    """The taps of this host, as they were seen in the bridges that they belong into."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}  # bridges by tap
        self._loose: dict[str, int] = {}  # indices of the taps that the last look found in no bridge, by tap

    async def plug_in(
        self, links: Links, ports: Iterable[Port], *, bridge: Link, mtu: int | None = None
    ) -> bool:
        """Have the taps of some ports in their bridge, those that are there and in none. Their rules must be loaded.

        They take frames of `mtu` bytes at least: a bridge whose MTU nobody set has that of its smallest port.
        Return whether there are some that the next look plugs in.

        Raises:
            LinkError: the kernel refuses.
        """
        is_left = False
        for port in ports:
            tap = links.get(port.device)
            before = self._loose.pop(port.device, None)
            if tap is None:
                self._seen.pop(port.device, None)
            elif tap.master is None and tap.index != before:
                self._loose[port.device] = tap.index
                is_left = True
            elif tap.master in (None, bridge.index):
                await links.plug(tap, bridge=bridge, mtu=max(tap.mtu, mtu or 0))
                self._seen[port.device] = bridge.name
        return is_left

    def moved(self, links: Links, ports: Iterable[Port]) -> LinkError | None:
        """Return what to say of a tap that somebody put into another bridge: its guest is cut off."""
        found = {port.device: port for port in ports}
        self._seen = {device: bridge for device, bridge in self._seen.items() if device in found}
        self._loose = {device: index for device, index in self._loose.items() if device in found}
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
