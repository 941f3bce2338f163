"""The way to hosts that a process with certificates has: whom it can ask, and where each is reached."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from innkeeper.clock import Clock
from innkeeper.errors import TerminalError
from innkeeper.hosts.client import Agents, ClientFiles
from innkeeper.hosts.issuing import HostCertificates
from innkeeper.hosts.ports import HostReader
from innkeeper.processes.order_key import OrderKeys
from innkeeper.settings import OperatorSettings
from innkeeper.workers.hosts.flow import Certificate, as_it_is
from innkeeper.workers.rebuild.hearing import Hearing


def client_files(settings: OperatorSettings) -> ClientFiles | None:
    """Return the files to ask hosts with, or None where hosts are not asked."""
    authority, certificate, key = (
        settings.hosts_ca_file,
        settings.hosts_certificate_file,
        settings.hosts_key_file,
    )
    if authority is None or certificate is None or key is None:
        return None
    return ClientFiles(authority=authority, certificate=certificate, key=key)


def host_certificates(settings: OperatorSettings, clock: Clock) -> Certificate:
    """Return what signs hosts' certificates; without the authority's key, hosts keep those that they have.

    Raises:
        TerminalError: the key is there and cannot sign.
    """
    authority, key = settings.hosts_ca_file, settings.hosts_ca_key_file
    if authority is None or key is None:
        return as_it_is
    return HostCertificates.load(authority=authority, key=key, clock=clock).current


@asynccontextmanager
async def hearing(
    settings: OperatorSettings,
    *,
    keys: dict[str, bytes],
    address_of: Callable[[str], str | None],
    clock: Clock,
) -> AsyncIterator[Hearing]:
    """Give what hears hosts.

    Raises:
        TerminalError: no certificates are given.
    """
    files = client_files(settings)
    if files is None:
        raise TerminalError(
            "hosts are asked over mutual TLS: give --hosts-ca-file, --hosts-certificate-file and --hosts-key-file"
        )
    async with Agents(files) as agents:

        def reader(host: str) -> HostReader | None:
            address = address_of(host)
            return agents.reader(host, address) if address is not None else None

        yield Hearing(reader, keys=keys, clock=clock)


def public_keys(keys: OrderKeys) -> dict[str, bytes]:
    """Return the keys whose orders count, by key ID."""
    signers = [keys.signer, *([keys.previous] if keys.previous is not None else [])]
    return {each.key_id: each.public_key for each in signers}
