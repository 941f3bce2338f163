"""The DHCP server's cable: whatever is left of one, there is a whole one after the next look."""

import errno
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from innkeeper.agent.net.links import LinkError, Links

BRIDGE, OUTER, INNER = "br0", "ikdx", "ikex"


class Kernel:
    """Links as a kernel keeps them: the ends of a cable come and go together."""

    def __init__(self, *names: str, kind: str = "veth") -> None:
        self.links: dict[str, dict[str, Any]] = {}
        self._last = 0
        self.add(BRIDGE, "bridge")
        for name in names:
            self.add(name, kind)

    def add(self, name: str, kind: str) -> None:
        self._last += 1
        found = {"index": self._last, "ifname": name, "linkinfo": {"kind": kind}, "mtu": 1500, "flags": 1}
        self.links[name] = found

    async def get_links(self) -> AsyncIterator[dict[str, Any]]:
        async def each() -> AsyncIterator[dict[str, Any]]:
            for link in list(self.links.values()):
                yield link

        return each()

    async def link(self, verb: str, **words: Any) -> list[dict[str, Any]]:
        if verb == "add":
            if {words["ifname"], words["peer"]["ifname"]} & self.links.keys():
                raise NetlinkError(errno.EEXIST)
            self.add(words["ifname"], words["kind"])
            self.add(words["peer"]["ifname"], words["kind"])
        elif verb == "del":
            self.links = {name: each for name, each in self.links.items() if each["index"] != words["index"]}
        elif verb == "set":
            link = next(each for each in self.links.values() if each["index"] == words["index"])
            link.update({name: value for name, value in words.items() if name in ("master", "mtu")})
        else:
            if words["ifname"] not in self.links:
                raise NetlinkError(errno.ENODEV)
            return [self.links[words["ifname"]]]
        return []


async def a_cable(kernel: Kernel) -> None:
    links = Links(kernel)  # type: ignore[arg-type] # as much of the kernel as a cable needs
    await links.read()
    await links.cable(OUTER, INNER, bridge=links.existing_bridge(BRIDGE), mtu=1500)


@pytest.mark.parametrize("left", [(), (OUTER,), (INNER,), (OUTER, INNER)])
async def test_whatever_is_left_of_a_cable_it_is_whole_after(left: tuple[str, ...]) -> None:
    kernel = Kernel(*left)
    await a_cable(kernel)
    assert kernel.links.keys() == {BRIDGE, OUTER, INNER}
    assert kernel.links[OUTER]["master"] == kernel.links[BRIDGE]["index"]


async def test_a_device_of_another_kind_is_not_removed_for_its_name() -> None:
    kernel = Kernel(INNER, kind="dummy")
    with pytest.raises(LinkError, match="is no veth"):
        await a_cable(kernel)
    assert INNER in kernel.links
