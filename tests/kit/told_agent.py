"""An agent's HTTPS as the operator meets it: certificates of the hosts' own authority, and a told host behind it."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aiohttp import web

from innkeeper.hosts.client import ClientFiles
from innkeeper.hosts.ports import GapError
from kit.certificates import Authority, Pair
from tests.kit.told_host import ToldHost

OPERATOR = "innkeeper-operator"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Pki:
    """An authority, the operator's pair and that of one host."""

    authority: Authority
    operator: Pair
    server: Pair

    @property
    def files(self) -> ClientFiles:
        """What the operator is given."""
        return ClientFiles(
            authority=self.authority.own.certificate,
            certificate=self.operator.certificate,
            key=self.operator.key,
        )


def hosts_pki(directory: Path, host: str = "inn-a") -> Pki:
    """Make an authority that vouches for the operator and for one host."""
    authority = Authority(directory)
    authority.ensure()
    operator = authority.ensure_client("operator", user=OPERATOR)
    return Pki(authority, operator, authority.issue_server(host, alternative_names=[host]))


@asynccontextmanager
async def served(
    pki: Pki, answer: Answer, *, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> AsyncIterator[str]:
    """Answer every question over TLS, demanding a certificate; yield the address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki.authority.own.certificate))
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = most
    context.load_cert_chain(pki.server.certificate, pki.server.key)
    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def agent(host: ToldHost) -> Answer:
    """Answer as an agent does."""

    async def answer(request: web.Request) -> web.StreamResponse:
        query = request.query
        try:
            if request.path == "/v1/snapshot":
                return _json(await host.snapshot(after=query.get("after")))
            return _json(await host.events(store_id=query["store"], since=int(query["since"])))
        except GapError as error:
            return web.json_response({"reason": error.reason, "message": error.message}, status=410)

    return answer


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json", status=status)
