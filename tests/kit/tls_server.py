"""A web application over TLS on one port of loopback, which shows another certificate when a test says so.

It starts again for that, as a server that knows no better does: connections that were open end.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from kit.certificates import Authority, Pair

ADDRESS = "127.0.0.1"


def pair_of(directory: Path, name: str) -> Pair:
    """Make an authority, and a server's certificate that is signed by it; `authority_of` returns the former's."""
    authority = Authority(directory / name, name=name)
    authority.ensure()
    return authority.issue_server("server", alternative_names=[ADDRESS])


def authority_of(pair: Pair) -> bytes:
    """Return the certificate of the authority that signed a pair."""
    return Authority(pair.certificate.parent).own.certificate.read_bytes()


class TlsServer:
    """The server; `tls_server` makes one."""

    def __init__(self, application: Callable[[], web.Application]) -> None:
        self._application = application
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://{ADDRESS}:{self._port}"

    async def show(self, pair: Pair) -> None:
        """Serve with this certificate from now on, at the same port."""
        await self.close()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, ADDRESS, self._port, ssl_context=context).start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """End it and all connections."""
        if self._runner is not None:
            await self._runner.cleanup()


@asynccontextmanager
async def tls_server(application: Callable[[], web.Application], pair: Pair) -> AsyncIterator[TlsServer]:
    """Yield a server that shows this certificate."""
    server = TlsServer(application)
    await server.show(pair)
    try:
        yield server
    finally:
        await server.close()
