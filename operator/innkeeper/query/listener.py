"""Listens for queries over TLS, with a certificate and authorities that may change while it listens.

A client's certificate is asked for and not demanded: who has none may show a token. Files and authorities are looked at
again now and then; while the API server is away the last known authorities stay.
"""

import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web

from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.query.callers import Callers
from innkeeper.query.server import QueryServer
from innkeeper.query.trust import Trust
from innkeeper.served_certificate import LOOK_EVERY_S, ServedCertificate

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where to listen, and with which certificate."""

    listen: str
    port: int
    certificate: Path
    key: Path


class QueryListener:
    """Listens while it is entered as a context; `run` keeps certificate and authorities fresh."""

    def __init__(
        self, server: QueryServer, address: Address, *, callers: Callers, client: Client, clock: Clock
    ) -> None:
        self._server = server
        self._address = address
        self._callers = callers
        self._client = client
        self._clock = clock
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._certificate = ServedCertificate(self._context, certificate=address.certificate, key=address.key)
        self._stack = AsyncExitStack()
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is really listened on: another one than was asked for where that was 0."""
        assert self._runner is not None, "it does not listen"  # noqa: S101 - misuse by our own code
        return int(self._runner.addresses[0][1])

    async def __aenter__(self) -> Self:
        """Start to listen."""
        self._certificate.load()
        await self._look()
        self._runner = web.AppRunner(self._server.application(), access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._address.listen, self._address.port, ssl_context=self._context)
        await site.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to listen."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def run(self) -> None:
        """Look for changes for ever."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self._certificate.look()
            await self._look()

    async def _look(self) -> None:
        try:
            trust = await Trust.read(self._client)
        except InnkeeperError as error:
            log.warning("query_trust_not_read", reason=error.reason, message=error.message)
            return
        if trust != self._callers.trust:
            self._callers.trust = trust
            if trust.authorities.strip():
                self._context.load_verify_locations(cadata=trust.authorities)
