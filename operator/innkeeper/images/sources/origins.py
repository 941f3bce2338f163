"""Which URLs the image server lets itself be sent to.

Users name URLs, and the server stands in the cluster's network: without this check an Image would be a way to
make the server call the machine it runs on, or a cloud's metadata address. Names are checked again after they
were resolved.
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


class OriginPolicy:
    """https to public and private addresses; http, and any address, to the listed hosts only."""

    def __init__(self, *, listed_hosts: Iterable[str] = ()) -> None:
        self._listed = frozenset(host.lower() for host in listed_hosts)

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
        """Refuse an address of this machine or its link, unless the host is listed; a name passes here.

        Raises:
            SourceError: the address is refused.
        """
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        local = mapped.is_loopback or mapped.is_link_local or mapped.is_unspecified or mapped.is_multicast
        if local and host.lower() not in self._listed:
            raise _refused(
                f"{host} is an address of the image server's own machine or link; use another origin"
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


def _refused(message: str) -> SourceError:
    return SourceError(message, reason=ImageReason.SOURCE_REFUSED, retryable=False)
