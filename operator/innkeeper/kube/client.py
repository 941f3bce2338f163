"""A client of the API server: aiohttp below, msgspec views above, one tree of errors.

Every call has a deadline and a cap on what it reads. It never tries again by itself: who calls knows whether the world
has changed meanwhile. Writes are conditional where the caller names a resourceVersion or uid.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import aiohttp
import msgspec

from innkeeper import __version__
from innkeeper.kube import errors
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import Resource
from innkeeper.views.meta import Meta, View

V = TypeVar("V", bound=View)

MAX_ANSWER_BYTES = 256 * 1024 * 1024
MAX_EVENT_BYTES = 4 * 1024 * 1024
MERGE_PATCH = "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_CONNECTIONS = 64


class ListMeta(View, frozen=True, kw_only=True):
    """A list's own metadata."""

    resource_version: str = ""
    continue_: str | None = msgspec.field(name="continue", default=None)


class MetadataOnly(View, frozen=True, kw_only=True):
    """An object without its content."""

    metadata: Meta


class StatusAnswer(View, frozen=True, kw_only=True):
    """A `metav1.Status`: how the API server says no."""

    reason: str = ""
    message: str = ""
    code: int = 0


class _RawEvent(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _RawList(View, frozen=True, kw_only=True):
    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


@dataclass(frozen=True)
class Listing(Generic[V]):
    """A complete list and the version that it shows."""

    items: list[V]
    resource_version: str


@dataclass(frozen=True)
class WatchEvent(Generic[V]):
    """One event of a watch: ADDED, MODIFIED, DELETED, or BOOKMARK (only its resourceVersion counts)."""

    type: str
    resource_version: str
    object: V | None


class Client:
    """Calls to one API server under one identity."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        user_agent: str = f"innkeeper/{__version__}",
        request_timeout_s: float = 30,
    ) -> None:
        self.credentials = credentials
        self._user_agent = user_agent
        self._timeout = aiohttp.ClientTimeout(total=request_timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, resource: Resource[V], name: str, *, namespace: str | None = None) -> V:
        """Return one object.

        Raises:
            ApiError: NotFoundError where it is not there.
        """
        body = await self._call("GET", resource.path(namespace=namespace, name=name))
        return msgspec.json.decode(body, type=resource.view)

    async def list(
        self,
        resource: Resource[V],
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        limit: int = 500,
        metadata_only: bool = False,
    ) -> Listing[V]:
        """Return all objects of a kind, read page by page; a list that expired meanwhile is begun anew once.

        With `metadata_only` the views hold nothing but metadata, so the kind's view must have defaults for the rest.
        """
        try:
            return await self._list(resource, namespace, label_selector, limit, metadata_only=metadata_only)
        except errors.GoneError:
            return await self._list(resource, namespace, label_selector, limit, metadata_only=metadata_only)

    async def _list(
        self,
        resource: Resource[V],
        namespace: str | None,
        label_selector: str | None,
        limit: int,
        *,
        metadata_only: bool,
    ) -> Listing[V]:
        items: list[V] = []
        token: str | None = None
        headers = {"Accept": METADATA_ONLY} if metadata_only else {}
        while True:
            query = {"limit": str(limit)}
            if label_selector:
                query["labelSelector"] = label_selector
            if token:
                query["continue"] = token
            path = resource.path(namespace=namespace)
            page = msgspec.json.decode(
                await self._call("GET", path, query=query, headers=headers), type=_RawList
            )
            items += [msgspec.json.decode(raw, type=resource.view) for raw in page.items or []]
            token = page.metadata.continue_
            if not token:
                return Listing(items, page.metadata.resource_version)

    async def create(
        self, resource: Resource[V], body: Mapping[str, Any], *, namespace: str | None = None
    ) -> V:
        """Create an object and return it as the API server keeps it.

        Raises:
            ApiError: AlreadyExistsError where the name is taken.
        """
        document = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        answer = await self._call("POST", resource.path(namespace=namespace), body=document)
        return msgspec.json.decode(answer, type=resource.view)

    async def patch(
        self,
        resource: Resource[V],
        name: str,
        body: Mapping[str, Any],
        *,
        namespace: str | None = None,
        subresource: str | None = None,
        resource_version: str | None = None,
        uid: str | None = None,
    ) -> V:
        """Merge-patch an object (RFC 7386) and return it; guarded by resourceVersion and uid where given.

        Raises:
            ApiError: ConflictError where a guard does not hold.
        """
        guards = {"resourceVersion": resource_version, "uid": uid}
        metadata = {**body.get("metadata", {}), **{key: value for key, value in guards.items() if value}}
        document = {**body, "metadata": metadata} if metadata else body
        answer = await self._call(
            "PATCH",
            resource.path(namespace=namespace, name=name, subresource=subresource),
            body=document,
            headers={"Content-Type": MERGE_PATCH},
        )
        return msgspec.json.decode(answer, type=resource.view)

    async def delete(
        self,
        resource: Resource[V],
        name: str,
        *,
        namespace: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete an object, guarded by uid and resourceVersion where given; finalizers may keep it for a while."""
        guards = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {key: value for key, value in guards.items() if value}
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
        }
        if preconditions:
            body["preconditions"] = preconditions
        await self._call("DELETE", resource.path(namespace=namespace, name=name), body=body)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post to a path that is no collection of objects, such as a review or a token request."""
        answer: dict[str, Any] = json.loads(await self._call("POST", path, body=body))
        return answer

    async def watch(
        self,
        resource: Resource[V],
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        timeout_s: int = 300,
    ) -> AsyncIterator[WatchEvent[V]]:
        """Yield what changes after `resource_version`, until the server or the connection ends the watch.

        Raises:
            ApiError: GoneError where that version is forgotten.
        """
        query = {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(timeout_s),
        }
        if label_selector:
            query["labelSelector"] = label_selector
        timeout = aiohttp.ClientTimeout(total=timeout_s + 30, sock_connect=10)
        path = resource.path(namespace=namespace)
        async with self._request("GET", path, query=query, timeout=timeout) as response:
            async for line in _lines(response.content):
                yield _event(line, resource.view)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        async with self._request(method, path, query=query, body=body, headers=headers) as response:
            return await _limited(response, MAX_ANSWER_BYTES)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109 - aiohttp's own deadline object
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._connected().request(
                method,
                f"{self.credentials.server}{path}",
                params=query,
                data=None if body is None else msgspec.json.encode(body),
                headers=self._headers(headers, has_body=body is not None),
                timeout=timeout or self._timeout,
                allow_redirects=False,
                server_hostname=self.credentials.tls_server_name,
            ) as response:
                if response.status >= 400:  # noqa: PLR2004 - HTTP's own number
                    raise await _refusal(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            message = (
                f"the API server {self.credentials.server} does not answer: {error or type(error).__name__}"
            )
            raise errors.UnavailableError(message) from error

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = self.credentials.ssl_context()
            connector = aiohttp.TCPConnector(
                limit=_CONNECTIONS, ssl=context if context is not None else False, keepalive_timeout=60
            )
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True)
        return self._session

    def _headers(self, given: Mapping[str, str] | None, *, has_body: bool) -> dict[str, str]:
        headers = {"User-Agent": self._user_agent, "Accept": "application/json"}
        if has_body:
            headers["Content-Type"] = "application/json"
        if token := self.credentials.bearer():
            headers["Authorization"] = f"Bearer {token}"
        return {**headers, **(given or {})}


async def _limited(response: aiohttp.ClientResponse, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > most:
            raise errors.UnavailableError(f"the API server's answer is larger than {most} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _refusal(response: aiohttp.ClientResponse) -> errors.ApiError:
    text = await response.content.read(64 * 1024)
    try:
        answer = msgspec.json.decode(text, type=StatusAnswer)
    except (msgspec.DecodeError, UnicodeError):
        answer = StatusAnswer(message=text.decode(errors="replace"))
    after = response.headers.get("Retry-After", "")
    return errors.from_answer(
        response.status,
        reason=answer.reason,
        message=answer.message or f"HTTP {response.status}",
        retry_after_s=float(after) if after.isdigit() else None,
    )


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole lines; one line may be larger than aiohttp's own buffer."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
        if len(rest) > MAX_EVENT_BYTES:
            raise errors.UnavailableError(f"an event is larger than {MAX_EVENT_BYTES} bytes")


def _event(line: bytes, view: type[V]) -> WatchEvent[V]:
    raw = msgspec.json.decode(line, type=_RawEvent)
    if raw.type == "ERROR":
        answer = msgspec.json.decode(raw.object, type=StatusAnswer)
        raise errors.from_answer(answer.code or 500, reason=answer.reason, message=answer.message)
    if raw.type == "BOOKMARK":
        metadata = msgspec.json.decode(raw.object, type=_BookmarkObject).metadata
        return WatchEvent(raw.type, metadata.resource_version, None)
    found = msgspec.json.decode(raw.object, type=view)
    return WatchEvent(raw.type, found.metadata.resource_version, found)  # type: ignore[attr-defined] # every view of a kind has metadata


class _BookmarkMeta(View, frozen=True, kw_only=True):
    resource_version: str = ""


class _BookmarkObject(View, frozen=True, kw_only=True):
    metadata: _BookmarkMeta
