"""A host API to ask over real TLS: certificates of a trial's authority, and a caller who may show any of them."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from innkeeper.agent.host_api.certificates import TlsFiles
from innkeeper.agent.host_api.listener import ListenAt
from kit.certificates import Authority, Pair
from kit.host_api import authority as authority_in
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.waiting import eventually

HOST = "inn-a"


@dataclass(frozen=True)
class Answer:
    """What was answered."""

    status: int
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class HostFiles:
    """Where a host's agent finds its files; `fill` is what whoever rotates them does."""

    directory: Path

    @property
    def files(self) -> TlsFiles:
        """The files."""
        names = ("agent.crt", "agent.key", "hosts-ca.crt")
        certificate, key, authority = (self.directory / each for each in names)
        return TlsFiles(certificate=certificate, key=key, authority=authority)

    def fill(self, authority: Authority, *, host: str = HOST) -> None:
        """Put a new certificate there."""
        pair = authority.issue_server(host, alternative_names=[host])
        self.directory.mkdir(exist_ok=True)
        for source, target in (
            (pair.certificate, self.files.certificate),
            (pair.key, self.files.key),
            (authority.own.certificate, self.files.authority),
        ):
            new = target.with_suffix(".new")
            new.write_bytes(source.read_bytes())
            new.replace(target)

    def place(self, *, port: int = 0, reported: str | None = None) -> ListenAt:
        """Return where to listen."""
        return ListenAt(listen="127.0.0.1", port=port, files=self.files, reported=reported)


def context(authority: Authority, shown: Pair | None) -> ssl.SSLContext:
    """Return a caller's context: whom it trusts, and what it shows."""
    made = ssl.create_default_context(cafile=str(authority.own.certificate))
    if shown is not None:
        made.load_cert_chain(shown.certificate, shown.key)
    return made


async def ask(
    address: str, path: str, *, tls: ssl.SSLContext, host: str = HOST, method: str = "GET"
) -> Answer:
    """Ask once, on a connection of its own."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session,
        session.request(method, f"https://{address}{path}", server_hostname=host) as answer,
    ):
        return Answer(answer.status, await answer.read(), dict(answer.headers))


async def reported(host: AgentHost) -> str:
    """Wait until the agent tells where it listens."""

    async def address() -> str | None:
        return (await host.host_agent()).status.address

    found: str = await eventually(address)
    return found


async def with_a_guest(host: AgentHost, directory: Path) -> tuple[Authority, str]:
    """Start an agent whose host API listens, with a guest that runs; return who vouches, and the address."""
    vouching, files = authority_in(directory / "pki"), HostFiles(directory / "files")
    files.fill(vouching)
    host.api_place = files.place()
    host.start()
    await host.assign(order())
    await host.told(guest_id(), "Running")
    return vouching, await reported(host)
