"""The host's network as it is wanted: made when a guest needs it, looked at again and set right for ever after.

State comes from the orders that the host holds, never from what the kernel happens to have. The packet filter is loaded
before a guest's device exists; a link of ours that somebody removed is made again, and no guest is cut off by that.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry
from pyroute2 import AsyncIPRoute

from innkeeper.agent.drivers.driver import DomainInterface
from innkeeper.agent.net import dhcp, filter_news, gateway, presence, wire, wiring
from innkeeper.agent.net.adverts import PERIOD_S, Adverts
from innkeeper.agent.net.border import TABLE, Border, border_of
from innkeeper.agent.net.border_table import BorderTable
from innkeeper.agent.net.dnsmasq import Dnsmasq
from innkeeper.agent.net.drops import Drops
from innkeeper.agent.net.filter import Filter
from innkeeper.agent.net.links import Link, LinkError, Links, changes
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.nft import FilterError, Nft
from innkeeper.agent.net.ports import Port, Segment, ports_of, segments_of
from innkeeper.agent.net.presence import Presence
from innkeeper.agent.net.taps import Taps
from innkeeper.agent.store.records import AddressInUse
from innkeeper.clock import Clock
from innkeeper.domain.orders import Order, OrderInvalidError
from innkeeper.errors import InnkeeperError
from innkeeper.views.host import Network

LOOK_AGAIN_S = 10.0
_SETTLE_S = 0.2  # changes of links come in bursts

log = structlog.get_logger()


class HostNetwork:
    """The network of this host. What it keeps on disk lies in `directory`: the DHCP servers' files."""

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock,
        registry: CollectorRegistry,
        nft: Nft | None = None,
        look_again_s: float = LOOK_AGAIN_S,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._filter = Filter(nft or Nft())
        self._border = BorderTable(nft or Nft())
        self._presence = Presence()
        self._taps = Taps()
        self._servers: dict[Segment, Dnsmasq] = {}
        self._look_again_s = look_again_s
        self._drops = Drops(registry)
        self._lock = asyncio.Lock()
        self._stale = asyncio.Event()
        self._ports: dict[str, tuple[Port, ...]] = {}
        self._in_question: Counter[Segment] = Counter()
        self._routers: dict[Segment, Link] = {}  # bridges that are their guests' gateways
        self.trouble: str | None = None

    async def missing(self, order: Order, network: Network) -> str | None:
        """Return why a guest cannot be plugged in here."""
        try:
            ports = ports_of(order, network)
            async with self._lock, _links() as links:
                for segment in segments_of(ports):
                    await wiring.bridge(links, segment, network, presence=self._presence)
                for port in ports:
                    wiring.check_mac(links, port)
        except (LinkError, OrderInvalidError) as error:
            return error.message
        return None

    async def conflict(self, order: Order, network: Network) -> AddressInUse | None:
        """Ask the wire; an address that this host itself has is in use, too.

        Raises:
            LinkError: nothing can be asked there, as where the bridge is down; without a carrier nobody answers.
        """
        for port in ports_of(order, network):
            addresses = [each.address for each in port.addresses]
            self._in_question[port.segment] += 1  # its links stay meanwhile, though no guest is accepted yet
            try:
                async with self._lock, _links() as links:
                    bridge = await wiring.bridge(links, port.segment, network, presence=self._presence)
                    found = await wiring.own_conflict(links, addresses)
                    runs_here = links.get(port.device) is not None
                found = found or await wire.in_use(bridge, addresses, own_mac=port.mac if runs_here else None)
            except OSError as error:
                what = f"nothing can be sent out of the bridge {port.segment.bridge!r}"
                raise LinkError(f"{what}: {error.strerror or error}") from error
            finally:
                self._in_question -= Counter([port.segment])
            if found is not None:
                return replace(found, interface=port.interface)
        return None

    async def prepare(self, order: Order, wanted: Callable[[], Wanted]) -> tuple[DomainInterface, ...]:
        """Have filter, bridge and lease of a guest ready."""
        async with self._lock:
            now = wanted()
            ports = ports_of(order, now.network)
            self._ports = {**_all_ports(now), order.guest_id: ports}
            await self._filter.open(ports, among=self._all())
            async with _links() as links:
                await self._have_border(links, now.network, of=ports)
                for segment in segments_of(ports):
                    # A guest that starts may call itself something else than before, and would get no IPv6 address;
                    # one that found its IPv4 address in use would get none for ten minutes.
                    self._server(segment).forget()
                    # No tap is plugged in here: those of other guests must not keep this one from its start.
                    bridge = await self._bridge(links, segment, now.network)
                    await self._check_routes(links, bridge, ports, now.network)
                    await self._wire(links, segment, bridge, now.network)
        return tuple(
            DomainInterface(bridge=port.segment.bridge, mac=port.mac, device=port.device) for port in ports
        )

    async def release(self, guest_id: str) -> None:
        """Close a guest's ports and take back its leases."""
        async with self._lock:
            ports = self._ports.pop(guest_id, ())
            await self._filter.close(ports)
            for segment in segments_of(ports):
                await self._lease(segment)

    async def set_right(self, wanted: Wanted) -> None:
        """Make the network what it should be.

        Raises:
            InnkeeperError: the filter, or something of one segment, cannot be made; other segments are.
        """
        async with self._lock:
            await self._set_right(wanted)

    async def _set_right(self, wanted: Wanted) -> None:
        self._ports = _all_ports(wanted)
        await self._filter.have(self._all())
        self._drops.counts = await self._filter.dropped()
        used = segments_of(self._all())
        troubles: list[InnkeeperError] = []
        async with _links() as links:
            try:
                await self._have_border(links, wanted.network, of=self._all())
            except FilterError as error:
                troubles.append(error)
            await wiring.unwire(links, [*used, *self._in_question])
            for segment in used or [Segment(wanted.network.base, None)]:
                try:
                    await self._look_at(links, segment, wanted.network)
                except InnkeeperError as error:
                    troubles.append(error)
            if (moved := self._taps.moved(links, self._all())) is not None:
                troubles.append(moved)
            try:
                await wiring.check_mtu(links, wanted.network)
            except LinkError as error:
                troubles.append(error)
        await self._end_unused(used)
        if troubles:
            raise troubles[0]

    async def run(self, wanted: Callable[[], Wanted | None], *, on_trouble: Callable[[], None]) -> None:
        """Set it right from time to time, and whenever a link changes or something of the filter is removed."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(wanted, on_trouble), name="follow")
            tasks.create_task(self._listen(), name="links")
            tasks.create_task(self._listen_to_filter(), name="filter")
            tasks.create_task(self._advertise(), name="adverts")

    async def _follow(self, wanted: Callable[[], Wanted | None], on_trouble: Callable[[], None]) -> None:
        while True:
            trouble = await self._try(wanted)
            if trouble != self.trouble:
                log.info("network_state", trouble=trouble)
                self.trouble = trouble
                on_trouble()
            wait = asyncio.create_task(self._clock.sleep(self._look_again_s))
            stale = asyncio.create_task(self._stale.wait())
            try:
                await asyncio.wait({wait, stale}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                wait.cancel()
                stale.cancel()
            await self._clock.sleep(_SETTLE_S)
            self._stale.clear()

    async def _try(self, wanted: Callable[[], Wanted | None]) -> str | None:
        try:
            async with self._lock:
                now = wanted()  # as it is once nobody else is at work
                if now is not None:
                    await self._set_right(now)
        except InnkeeperError as error:
            return error.message
        except Exception:
            log.exception("network_broke")
            return "the host's network cannot be set; the agent's log says why"
        return None

    async def _listen(self) -> None:
        while True:
            try:
                async for _ in changes():
                    self._stale.set()
            except Exception as error:  # noqa: BLE001 - whatever netlink says: no news must not end the agent
                # Usually too many at once: some were lost, so all is looked at.
                log.info("link_changes_lost", error=str(error))
                self._stale.set()
            await self._clock.sleep(_SETTLE_S)

    async def _listen_to_filter(self) -> None:
        """Hear of what somebody removes of the filter; where nothing can be heard the looks by the clock remain."""
        told = ""
        while True:
            try:
                async for _ in filter_news.removals(TABLE):
                    self._stale.set()
            except OSError as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("filter_unheard", error=told, looked_at_every_s=self._look_again_s)
            await self._clock.sleep(self._look_again_s)

    async def _advertise(self) -> None:
        adverts = Adverts()
        while True:
            try:
                adverts.send(self._all(), router=lambda port: self._routers.get(port.segment))
            except Exception as error:  # noqa: BLE001 - an odd domain of one pool must not end the agent
                log.warning("adverts_unsent", error=str(error))
            await self._clock.sleep(PERIOD_S)

    async def _have_border(self, links: Links, network: Network, *, of: Iterable[Port]) -> None:
        """Have the border of all ports.

        Raises:
            FilterError: it cannot be loaded, and some of these ports need it.
        """
        border = border_of(self._all(), network)
        try:
            await self._border.have(border, await presence.given(links, border.closed))
        except FilterError as error:
            if border_of(of, network) != Border():
                raise
            # Who needs it is refused, and the next look tells it as the Host's trouble.
            log.warning("border_unloaded", message=error.message)

    async def _look_at(self, links: Links, segment: Segment, network: Network) -> None:
        bridge = await self._bridge(links, segment, network)
        ports = self._of(segment)
        if not ports:
            return
        if await self._taps.plug_in(links, ports, bridge=bridge, mtu=network.mtu):
            self._stale.set()
        await self._wire(links, segment, bridge, network)
        await self._check_routes(links, bridge, ports, network)

    @staticmethod
    async def _check_routes(links: Links, bridge: Link, ports: Iterable[Port], network: Network) -> None:
        if network.is_behind_hosts:
            found = [port for port in ports if port.segment.bridge == bridge.name]
            await gateway.check_routes(links, bridge, found)

    async def _bridge(self, links: Links, segment: Segment, network: Network) -> Link:
        bridge = await wiring.bridge(links, segment, network, presence=self._presence)
        if network.managed is not None:
            ports = self._of(segment) if network.is_behind_hosts else []
            await gateway.hold(links, bridge, ports, notes=self._directory)
        return bridge

    async def _wire(self, links: Links, segment: Segment, bridge: Link, network: Network) -> None:
        ports = self._of(segment)
        await wiring.wire(links, segment, ports, bridge=bridge, network=network)
        if network.is_behind_hosts:
            gateway.pass_packets_on(ports)
            self._routers[segment] = bridge
        else:
            self._routers.pop(segment, None)
        await self._lease(segment)

    async def _lease(self, segment: Segment) -> None:
        server, ports = self._server(segment), self._of(segment)
        if ports:
            await server.serve(dhcp.leases(segment, ports, directory=str(server.directory)))
        else:
            await server.end()

    def _server(self, segment: Segment) -> Dnsmasq:
        return self._servers.setdefault(segment, Dnsmasq(self._directory / segment.bridge))

    async def _end_unused(self, used: Iterable[Segment]) -> None:
        kept = {segment.bridge for segment in used}
        for directory in self._directory.iterdir() if self._directory.is_dir() else ():
            if directory.is_dir() and directory.name not in kept:
                await Dnsmasq(directory).end()
        self._servers = {segment: server for segment, server in self._servers.items() if segment in used}

    def _all(self) -> list[Port]:
        return [port for ports in self._ports.values() for port in ports]

    def _of(self, segment: Segment) -> list[Port]:
        return [port for port in self._all() if port.segment == segment]


@asynccontextmanager
async def _links() -> AsyncIterator[Links]:
    async with AsyncIPRoute() as route:
        links = Links(route)
        await links.read()
        yield links


def _all_ports(wanted: Wanted) -> dict[str, tuple[Port, ...]]:
    found = {}
    for order in wanted.orders:
        try:
            found[order.guest_id] = ports_of(order, wanted.network)
        except OrderInvalidError as error:
            log.warning("ports_unknown", guest=order.guest_id, message=error.message)
    return found
