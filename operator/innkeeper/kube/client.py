"""A client of the API server: aiohttp below, msgspec views above, one tree of errors.

Every call has a deadline and a cap on what it reads. It never tries again by itself: who calls knows whether the world
has changed meanwhile. Writes are conditional where the caller names a resourceVersion or uid.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp.connector import NEEDS_CLEANUP_CLOSED
from yarl import URL

from innkeeper import __version__
from innkeeper.kube import errors
from innkeeper.kube.answers import (
    MAX_ANSWER_BYTES,
    Listing,
    MetadataOnly,
    RawList,
    WatchEvent,
    decoded,
    event_of,
    limited,
    lines,
    refusal,
    unreadable_key,
)
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import Resource
from innkeeper.views.meta import View

V = TypeVar("V", bound=View)

MERGE_PATCH = "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_CONNECTIONS = 64
_VERBS = {"POST": "create", "PATCH": "patch", "PUT": "replace", "DELETE": "delete"}

OnWrite = Callable[[str, str, str], None]
"""Who is told of each write: its kind, its verb, and what became of it (see `_outcome`)."""


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
        self._on_write: OnWrite = lambda kind, verb, outcome: None  # noqa: ARG005 - a default that does nothing

    def observed_by(self, on_write: OnWrite) -> None:
        """Tell somebody of each write: the kind (`guests/status` for a status), the verb, and what became of it."""
        self._on_write = on_write

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
        return decoded(body, resource.view)

    async def list(
        self,
        resource: Resource[V],
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        limit: int = 500,
    ) -> Listing[V]:
        """Return all objects of a kind, read page by page; a list that expired meanwhile is begun anew once."""
        path, wanted = resource.path(namespace=namespace), (label_selector, limit)
        try:
            return await self._pages(path, resource.view, *wanted)
        except errors.GoneError:
            return await self._pages(path, resource.view, *wanted)

    async def version_of(self, resource: Resource[Any], *, namespace: str | None = None) -> int:
        """Return the version of a kind, or of one namespace of it, as it is now; a watch from there misses nothing.

        It is a list that nothing matches. An API server answers it from its cache once that cache is as new as its store.
        """
        path, query = resource.path(namespace=namespace), {"labelSelector": "innkeeper.dev/none"}
        answer = await self._call("GET", path, query=query, headers={"Accept": METADATA_ONLY})
        return int(decoded(answer, RawList).metadata.resource_version or 0)

    async def list_metadata(
        self,
        resource: Resource[Any],
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        limit: int = 500,
    ) -> Listing[MetadataOnly]:
        """Return the metadata of all objects of a kind: which there are, and in which versions."""
        path, wanted = resource.path(namespace=namespace), (label_selector, limit)
        headers = {"Accept": METADATA_ONLY}
        try:
            return await self._pages(path, MetadataOnly, *wanted, headers=headers)
        except errors.GoneError:
            return await self._pages(path, MetadataOnly, *wanted, headers=headers)

    async def _pages(
        self,
        path: str,
        view: type[V],
        label_selector: str | None,
        limit: int,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Listing[V]:
        items: list[V] = []
        unreadable: set[tuple[str, str]] = set()
        query = {"limit": str(limit)}
        if label_selector:
            query["labelSelector"] = label_selector
        while True:
            page = decoded(await self._call("GET", path, query=query, headers=headers), RawList)
            for raw in page.items or []:
                try:
                    items.append(msgspec.json.decode(raw, type=view))
                except msgspec.ValidationError as error:
                    unreadable.add(unreadable_key(raw, view, error))
            if not page.metadata.continue_:
                return Listing(items, page.metadata.resource_version, frozenset(unreadable))
            query["continue"] = page.metadata.continue_

    async def create(
        self, resource: Resource[V], body: Mapping[str, Any], *, namespace: str | None = None
    ) -> V:
        """Create an object and return it as the API server keeps it.

        Raises:
            ApiError: AlreadyExistsError where the name is taken.
        """
        document = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        answer = await self._write("POST", resource.path(namespace=namespace), document, resource.plural)
        return decoded(answer, resource.view)

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
        path = resource.path(namespace=namespace, name=name, subresource=subresource)
        try:
            answer = await self._write("PATCH", path, document, _kind(resource, subresource))
        except errors.InvalidError as error:
            # The API server takes another uid in a patch for a change of the uid: 422, not 409.
            if uid and "metadata.uid" in error.message:
                raise errors.ConflictError(error.message, status=error.status) from error
            raise
        return decoded(answer, resource.view)

    async def replace_status(
        self,
        resource: Resource[V],
        name: str,
        status: Mapping[str, Any],
        *,
        namespace: str | None = None,
        resource_version: str,
        uid: str,
    ) -> V:
        """Replace the whole status of an object and return it; what the API server does for a patch costs a tenth more.

        Raises:
            ApiError: ConflictError where the object is another one, or has changed.
        """
        metadata = {"name": name, "namespace": namespace, "resourceVersion": resource_version, "uid": uid}
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {key: value for key, value in metadata.items() if value},
            "status": status,
        }
        path = resource.path(namespace=namespace, name=name, subresource="status")
        return decoded(await self._write("PUT", path, body, _kind(resource, "status")), resource.view)

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
        await self._write("DELETE", resource.path(namespace=namespace, name=name), body, resource.plural)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Post to a path that is no collection of objects, such as a review or a token request."""
        return decoded(await self._write("POST", path, body, path.rpartition("/")[2]), dict[str, Any])

    async def watch(
        self,
        resource: Resource[V],
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        timeout_s: int = 300,
        opened: asyncio.Event | None = None,
    ) -> AsyncGenerator[WatchEvent[V], None]:
        """Yield what changes after `resource_version`, until the server or the connection ends the watch.

        `opened` is set when the server begins to answer.

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
            if opened is not None:
                opened.set()
            async for line in lines(response.content):
                yield event_of(line, resource.view)

    async def _write(self, method: str, path: str, body: Any, kind: str) -> bytes:
        headers = {"Content-Type": MERGE_PATCH} if method == "PATCH" else None
        outcome = "failed"  # unless something else is known: also where the caller waits no longer
        try:
            answer = await self._call(method, path, body=body, headers=headers)
            outcome = "done"
        except errors.ApiError as error:
            outcome = _outcome(error)
            raise
        finally:
            self._on_write(kind, _VERBS[method], outcome)
        return answer

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
            return await limited(response, MAX_ANSWER_BYTES)

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
                self._url(path, query),
                data=None if body is None else msgspec.json.encode(body),
                headers=self._headers(headers, has_body=body is not None),
                timeout=timeout or self._timeout,
                allow_redirects=False,
                server_hostname=self.credentials.tls_server_name,
            ) as response:
                if response.status == HTTPStatus.UNAUTHORIZED:
                    self.credentials.forget()
                if not response.ok or response.status >= HTTPStatus.MULTIPLE_CHOICES:
                    raise await refusal(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            message = f"the API server {self.credentials.server} does not answer: {str(error) or type(error).__name__}"
            raise _unavailable(error)(message) from error

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        """Return a URL that is encoded already: names in paths need no encoding, values are quoted here."""
        words = f"?{urlencode(query)}" if query else ""
        return URL(f"{self.credentials.server}{path}{words}", encoded=True)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = self.credentials.ssl_context()
            connector = aiohttp.TCPConnector(
                limit=_CONNECTIONS,
                ssl=context if context is not None else False,
                keepalive_timeout=60,
                # A watch that we end waits for the server's goodbye; without this the session's end leaves it behind.
                enable_cleanup_closed=NEEDS_CLEANUP_CLOSED,
            )
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    def _headers(self, given: Mapping[str, str] | None, *, has_body: bool) -> dict[str, str]:
        # Compression costs the API server far more than the bytes cost a network beside it.
        headers = {
            "User-Agent": self._user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        if has_body:
            headers["Content-Type"] = "application/json"
        if token := self.credentials.bearer():
            headers["Authorization"] = f"Bearer {token}"
        return {**headers, **(given or {})}


def _kind(resource: Resource[Any], subresource: str | None) -> str:
    return f"{resource.plural}/{subresource}" if subresource else resource.plural


def _outcome(error: errors.ApiError) -> str:
    """Return what became of a write: somebody was faster, we were too fast, it was refused, or nobody answered well."""
    if isinstance(error, errors.ConflictError | errors.AlreadyExistsError):
        return "conflict"
    if isinstance(error, errors.ThrottledError):
        return "throttled"
    is_refusal = HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return "refused" if is_refusal else "failed"


def _unavailable(error: BaseException) -> type[errors.UnavailableError]:
    refused = isinstance(error, aiohttp.ClientConnectorError) and isinstance(
        error.os_error, ConnectionRefusedError
    )
    return errors.RefusedConnectionError if refused else errors.UnavailableError
