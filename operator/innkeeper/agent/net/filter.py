"""The packet filter as it was loaded last, and whether the kernel still has just that.

One change of one guest is one small transaction; anything that does not match is answered with the whole filter.
"""

from collections.abc import Iterable, Mapping

import structlog

from innkeeper.agent.net import rules
from innkeeper.agent.net.border import TABLE
from innkeeper.agent.net.nft import FilterError, Nft
from innkeeper.agent.net.port_rules import device_and_why
from innkeeper.agent.net.ports import Port

_FAMILY = "bridge"

log = structlog.get_logger()


class Filter:
    """The filter of this host."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._ports: dict[str, Port] = {}
        self._listing: str | None = None  # how the kernel printed it after we loaded it

    async def have(self, ports: Iterable[Port]) -> None:
        """Have the whole filter, and nothing that is not of it.

        Raises:
            FilterError: it cannot be loaded; what was there stays.
        """
        wanted = {port.device: port for port in ports}
        there = await self._read()
        if there is not None and there == self._listing and wanted == self._ports:
            return
        if self._listing is not None and there != self._listing:
            log.warning("filter_set_right", hint="somebody else changed the table `bridge innkeeper`")
        known = await self._nft.counters(_FAMILY, TABLE) if there is not None else {}
        gone = {device_and_why(name)[0] for name in known} - wanted.keys()
        self._ports = wanted
        try:
            await self._load(rules.whole(wanted.values(), gone=sorted(gone)))
        except FilterError as error:
            if there is None:
                raise
            # It has a form that this one cannot be laid over: another version of ours, or somebody's own.
            log.warning("filter_replaced", message=error.message)
            await self._load(f"delete table {_FAMILY} {TABLE}\n" + rules.whole(wanted.values()))

    async def open(self, ports: Iterable[Port], *, among: Iterable[Port]) -> None:
        """Open the ports of one guest for its own addresses; `among` are all that must be open."""
        added = {port.device: port for port in ports}
        if self._listing is None or await self._read() != self._listing:
            await self.have(among)
        elif any(self._ports.get(device) != port for device, port in added.items()):
            await self._load("\n".join(line for port in added.values() for line in rules.opened(port)))
            self._ports.update(added)

    async def close(self, ports: Iterable[Port]) -> None:
        """Close the ports of one guest; its counters go with them."""
        going = [port.device for port in ports if port.device in self._ports]
        if going:
            unchanged = await self._read() == self._listing
            await self._load("\n".join(line for device in going for line in rules.closed(device)))
            if not unchanged:
                self._listing = None  # what somebody else changed is not ours now: the next look loads it all
            for device in going:
                del self._ports[device]

    async def dropped(self) -> Mapping[tuple[str, str], int]:
        """Return how many frames were dropped, by Guest ID and why."""
        found: dict[tuple[str, str], int] = {}
        for name, packets in (await self._nft.counters(_FAMILY, TABLE)).items():
            device, why = device_and_why(name)
            if device in self._ports:
                key = (self._ports[device].guest_id, why)
                found[key] = found.get(key, 0) + packets
        return found

    async def _load(self, text: str) -> None:
        self._listing = None  # where this fails, the next look loads it all
        await self._nft.load(text)
        self._listing = await self._read()

    async def _read(self) -> str | None:
        """Return how the kernel prints our table; None where there is none."""
        return await self._nft.listing(_FAMILY, TABLE)
