"""As much of a kernel's links as the agent's netlink needs, for kernels that lack a kind of link and for odd moments."""

import errno
from collections.abc import AsyncIterator
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

BRIDGE = "br0"


class Kernel:
    """Links as a kernel keeps them: the ends of a cable come and go together."""

    def __init__(self, *names: str, kind: str = "veth") -> None:
        self.links: dict[str, dict[str, Any]] = {}
        self._last = 0
        self.add(BRIDGE, "bridge")
        for name in names:
            self.add(name, kind)

    def add(self, name: str, kind: str, *, over: str | None = None, **data: Any) -> None:
        """Have a link; `over` is the one that it lies on, `data` is what only its kind has."""
        self._last += 1
        info = {"kind": kind, "data": data}
        found = {"index": self._last, "ifname": name, "linkinfo": info, "mtu": 1500, "flags": 1}
        self.links[name] = found if over is None else {**found, "link": self.links[over]["index"]}

    def _made(self, ifname: str, kind: str, *, link: int = 0, **words: Any) -> None:
        names = [ifname, words["peer"]["ifname"]] if "peer" in words else [ifname]
        if self.links.keys() & set(names):
            raise NetlinkError(errno.EEXIST)
        over = next((each for each, found in self.links.items() if found["index"] == link), None)
        for each in names:
            self.add(each, kind, over=over, **words)

    async def get_links(self) -> AsyncIterator[dict[str, Any]]:
        """Yield all links."""

        async def each() -> AsyncIterator[dict[str, Any]]:
            for link in list(self.links.values()):
                yield link

        return each()

    async def link(self, verb: str, **words: Any) -> list[dict[str, Any]]:
        """Do what `ip link` does."""
        if verb == "add":
            self._made(**words)
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
