"""Which URLs the image server lets itself be sent to.

Users name URLs, and the server stands in the cluster's network: without this check an Image would be a way to
make the server call the machine it runs on, its neighbours, or a cloud's metadata address. Only addresses of the public
Internet pass, and the hosts and networks that the admin listed. A name is connected to at the address that was checked.
"""

import ipaddress
import socket
from collections.abc import Iterable

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.sources.names import SystemNames
from innkeeper.images.sources.source import SourceError

MAX_URL = 2048
MAX_REDIRECT = 8192  # signed URLs of stores are long where they hold a session's token
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_IPV6 = ipaddress.IPv6Network(
    "2000::/3"
)  # what IANA gives out; site-local and RFC 8215's NAT64 lie outside

# Python calls them global; they are a cloud's own, or nobody's.
_REFUSED = (
    ipaddress.IPv4Network("168.63.129.16/32"),  # Azure gives its machines their secrets here
    ipaddress.IPv4Network("192.0.0.0/24"),  # protocols of the IETF; Oracle's metadata at .192
    ipaddress.IPv4Network("192.88.99.0/24"),  # relays of 6to4, which are no more (RFC 7526)
    ipaddress.IPv6Network("3fff::/20"),  # documentation
)


class OriginPolicy:
    """https to public addresses and the listed networks; http, and any address, to the listed hosts only."""

    def __init__(self, *, listed_hosts: Iterable[str] = (), listed_networks: Iterable[Network] = ()) -> None:
        self._listed = frozenset(host.lower() for host in listed_hosts)
        self._networks = tuple(listed_networks)

    def checked(self, text: str) -> URL:
        """Return a URL of an Image.

        Raises:
            SourceError: the URL is none, is too long, or leads somewhere that is not allowed.
        """
        if len(text) > MAX_URL:
            raise _refused(
                f"the source's URL has {len(text)} characters and may have {MAX_URL}; mend spec.source.http.url"
            )
        return self._allowed(text)

    def checked_redirect(self, text: str, *, who: str) -> URL:
        """Return a URL that `who` redirects to.

        Raises:
            SourceError: as for a URL of an Image, but it may be longer.
        """
        if len(text) > MAX_REDIRECT:
            raise _refused(
                f"{who} redirects to a URL of {len(text)} characters, and at most {MAX_REDIRECT} are followed; "
                "use another origin"
            )
        return self._allowed(text)

    def _allowed(self, text: str) -> URL:
        try:
            url = URL(text)
            host = (url.host or "").lower()
        except ValueError as error:
            raise _refused("the source's URL cannot be read; mend spec.source.http.url") from error
        if not host or url.user or url.password:
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
        if (
            host.lower() not in self._listed
            and not _within(mapped, self._networks)
            and not _is_public(mapped)
        ):
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

    def __init__(self, policy: OriginPolicy, names: SystemNames | None = None) -> None:
        self._policy = policy
        self._names = names or SystemNames()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of `host`.

        Raises:
            SourceError: one of them is refused, or they were not found in time.
        """
        found = await self._names.addresses(host, port, family)
        for result in found:
            self._policy.check_address(host, result["host"])
        return found

    async def close(self) -> None:
        """Let the threads go."""
        self._names.close()


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, where it does: mapped, 6to4, NAT64 (RFC 6052)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    if address.version == 6 and address not in _GLOBAL_IPV6:  # noqa: PLR2004 - IPv6
        return False
    return address.is_global and not address.is_multicast and not _within(address, _REFUSED)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _refused(message: str) -> SourceError:
    return SourceError(message, reason=ImageReason.SOURCE_REFUSED, retryable=False)
