"""Which URLs the image server lets itself be sent to.

Users name URLs, and the server stands in the cluster's network: without this check an Image would be a way to
make the server call the machine it runs on, its neighbours, or a cloud's metadata address. Only addresses of the public
Internet pass, and the hosts and networks that the admin listed. A name is connected to at the address that was checked.
"""

import ipaddress
import socket
from collections.abc import Iterable

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.sources.source import SourceError

MAX_URL = 2048
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215: what it stands for, only its network knows


class OriginPolicy:
    """https to public addresses and the listed networks; http, and any address, to the listed hosts only."""

    def __init__(self, *, listed_hosts: Iterable[str] = (), listed_networks: Iterable[Network] = ()) -> None:
        self._listed = frozenset(host.lower() for host in listed_hosts)
        self._networks = tuple(listed_networks)

    def checked(self, text: str) -> URL:
        """Return the URL.

        Raises:
            SourceError: the URL is none, or leads somewhere that is not allowed.
        """
        try:
            url = URL(text)
            host = (url.host or "").lower()
        except ValueError as error:
            raise _refused("the source's URL cannot be read; mend spec.source.http.url") from error
        if not host or len(text) > MAX_URL or url.user or url.password:
            raise _refused("the source's URL needs a host and no user or password; mend spec.source.http.url")
        if host in self._listed and url.scheme in {"http", "https"}:
            return url
        if url.scheme != "https":
            raise _refused(
                f"the URL {self.shown(text)} is not https; use https, or let the admin start the image server "
                f"with --allow-http-host {host}"
            )
        self.check_address(host, host)
        return url

    def check_address(self, host: str, address: str) -> None:
        """Refuse an address that is not public, unless its host or network is listed; a name passes here.

        Raises:
            SourceError: the address is refused.
        """
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return
        mapped = _meant(parsed)
        listed = host.lower() in self._listed or any(
            mapped.version == network.version and mapped in network for network in self._networks
        )
        if not listed and (not mapped.is_global or mapped.is_multicast or mapped in _LOCAL_NAT64):
            raise _refused(
                f"{host} is at {mapped}, which is no public address; use another origin, or let the admin start the "
                f"image server with --allow-network and its network"
            )

    def shown(self, text: str) -> str:
        """Return a URL as it may stand in a message: no query, no user, not long."""
        return text.partition("?")[0].rpartition("@")[2][:200]

    def resolver(self) -> AbstractResolver:
        """Return a resolver that gives out allowed addresses only."""
        return CheckedResolver(self)


class CheckedResolver(AbstractResolver):
    """Resolves names by the system and refuses what the policy refuses."""

    def __init__(self, policy: OriginPolicy) -> None:
        self._policy = policy
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of `host`."""
        found: list[ResolveResult] = await self._system.resolve(host, port, family)
        for result in found:
            self._policy.check_address(host, result["host"])
        return found

    async def close(self) -> None:
        """Release the system's resolver."""
        await self._system.close()


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, where it does: mapped, 6to4, NAT64 (RFC 6052)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _refused(message: str) -> SourceError:
    return SourceError(message, reason=ImageReason.SOURCE_REFUSED, retryable=False)
