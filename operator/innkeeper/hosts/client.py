"""Asks agents what their stores hold, over TLS 1.3 with certificates on both sides.

The server's certificate must name the Host that is meant, whatever address is dialled: who sits at an address is not
believed. Every answer has a deadline and a cap. Certificates and keys come from files and are read again when those
change. It never tries again by itself.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import msgspec
from yarl import URL

from innkeeper import __version__
from innkeeper.domain.host_console import END_HEADER, LEFT_OUT_HEADER, ConsolePart, is_place
from innkeeper.domain.host_store import MAX_ANSWER_BYTES, PAGE, Events, Snapshot
from innkeeper.domain.host_usage import HostUsage
from innkeeper.hosts.directory import host_and_port
from innkeeper.hosts.ports import GapError, HostUnreadError

M = TypeVar("M", Snapshot, Events, HostUsage)

MAX_REFUSAL_BYTES = 4096
MAX_MESSAGE = 200
CONNECT_S = 5.0
TOTAL_S = 30.0


@dataclass(frozen=True, kw_only=True)
class ClientFiles:
    """The hosts' authority, and the certificate and key that the operator shows (PEM)."""

    authority: Path
    certificate: Path
    key: Path


class _Refusal(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""


class Agents:
    """The connections to all agents; open while it is entered as a context."""

    def __init__(
        self, files: ClientFiles, *, total_s: float = TOTAL_S, most_bytes: int = MAX_ANSWER_BYTES
    ) -> None:
        self._files = files
        self._most_bytes = most_bytes
        self._timeout = aiohttp.ClientTimeout(total=total_s, connect=min(CONNECT_S, total_s))
        self._context: ssl.SSLContext | None = None
        self._loaded: tuple[int, ...] = ()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session."""
        headers = {"User-Agent": f"innkeeper-operator/{__version__}", "Accept-Encoding": "identity"}
        # A host that is hostile must not fill our memory by cookies, nor by what a small answer unpacks to.
        self._session = aiohttp.ClientSession(
            headers=headers,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()

    def reader(self, host: str, address: str) -> "AgentReader":
        """Return one host's agent, which answers at `address` (`host:port`)."""
        return AgentReader(self, host, address)

    async def ask(
        self, host: str, address: str, path: str, query: dict[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return the body of an answer, and its headers.

        Raises:
            GapError: the host's log does not reach back.
            HostUnreadError: there is no answer that can be used.
        """
        if self._session is None:
            raise HostUnreadError("no host can be asked: the client is closed")
        try:
            name, port = host_and_port(address)
            url = URL.build(scheme="https", host=name, port=port, path=path, query=query)
            async with self._session.get(
                url, ssl=self._tls(), server_hostname=host, allow_redirects=False
            ) as answer:
                if answer.status != HTTPStatus.OK:
                    raise await _refused(host, answer)
                return await _limited(answer, self._most_bytes), answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise HostUnreadError(f"host {host} does not answer at {address}: {_said(error)}") from error

    def _tls(self) -> ssl.SSLContext:
        """Return how to connect, as the files say by now.

        Raises:
            OSError: a file cannot be read, or holds no certificate.
        """
        paths = (self._files.authority, self._files.certificate, self._files.key)
        changed = tuple(each.stat().st_mtime_ns for each in paths)
        if self._context is None or changed != self._loaded:
            # Demands a certificate, and that it names the host.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_verify_locations(cafile=self._files.authority)
            context.load_cert_chain(self._files.certificate, self._files.key)
            self._context, self._loaded = context, changed
        return self._context


class AgentReader:
    """One host's agent."""

    def __init__(self, agents: Agents, host: str, address: str) -> None:
        self._agents = agents
        self._host = host
        self._address = address

    async def snapshot(self, *, after: str | None = None) -> Snapshot:
        """Return one page of all that the store holds: the Guest IDs behind `after`.

        Raises:
            HostUnreadError: there is no answer that can be used.
        """
        query = {"limit": str(PAGE), **({"after": after} if after else {})}
        return await self._ask("/v1/snapshot", query, Snapshot)

    async def events(self, *, store_id: str, since: int) -> Events:
        """Return what changed since a cursor.

        Raises:
            GapError: a snapshot is needed.
            HostUnreadError: there is no answer that can be used.
        """
        query = {"store": store_id, "since": str(since), "limit": str(PAGE)}
        return await self._ask("/v1/events", query, Events)

    async def console(self, guest_id: str, *, max_bytes: int, after: str | None = None) -> ConsolePart:
        """Return the end of what a guest wrote to its console, or what it wrote since an answer ended.

        Raises:
            HostUnreadError: there is no answer that can be used.
        """
        path, query = f"/v1/guests/{guest_id}/console", {"bytes": str(max_bytes)}
        query |= {} if after is None else {"after": after}
        written, headers = await self._agents.ask(self._host, self._address, path, query)
        end = headers.get(END_HEADER, "")
        return ConsolePart(
            written=written,
            end=end if is_place(end) else "",
            is_some_left_out=headers.get(LEFT_OUT_HEADER) == "true",
        )

    async def usage(self) -> HostUsage:
        """Return how much processor and memory each guest takes now.

        Raises:
            HostUnreadError: there is no answer that can be used.
        """
        return await self._ask("/v1/usage", {}, HostUsage)

    async def _ask(self, path: str, query: dict[str, str], kind: type[M]) -> M:
        body, _ = await self._agents.ask(self._host, self._address, path, query)
        try:
            found = msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise HostUnreadError(
                f"the answer of host {self._host} cannot be read: {str(error)[:MAX_MESSAGE]}"
            ) from error
        if found.host != self._host:
            raise HostUnreadError(
                f"the agent at {self._address} says that it is host {found.host[:63]!r}, not {self._host!r}"
            )
        return found


async def _refused(host: str, answer: aiohttp.ClientResponse) -> HostUnreadError:
    body = await _limited(answer, MAX_REFUSAL_BYTES)
    try:
        told = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        told = _Refusal()
    kind = GapError if answer.status == HTTPStatus.GONE else HostUnreadError
    return kind(f"host {host} answers {answer.status} {told.reason[:63]}: {told.message[:MAX_MESSAGE]}")


async def _limited(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the whole body.

    Raises:
        ValueError: it is larger than `most` bytes.
    """
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > most:
            raise ValueError(f"its answer is larger than {most} bytes")
    return bytes(body)


def _said(error: Exception) -> str:
    return str(error)[:MAX_MESSAGE] or type(error).__name__
