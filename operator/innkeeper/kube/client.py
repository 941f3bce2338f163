"""A client of the API server: bytes below, msgspec views above, one tree of errors.

Every call has a deadline and a cap on what it reads. No write is tried again by itself: who calls knows whether the
world has changed meanwhile. Writes are conditional where the caller names a resourceVersion or uid.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import msgspec

from innkeeper import __version__
from innkeeper.kube import errors
from innkeeper.kube.answers import (
    MAX_ANSWER_BYTES,
    MAX_REFUSAL_BYTES,
    Listing,
    MetadataOnly,
    RawList,
    decoded,
    refusal,
    unreadable_key,
)
from innkeeper.kube.connection import Answer
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.event_stream import EventStream
from innkeeper.kube.resources import Resource
from innkeeper.kube.transport import Call, Transport
from innkeeper.views.meta import View

V = TypeVar("V", bound=View)

MERGE_PATCH = "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_LONGER_THAN_WATCH_S = 30.0  # an API server that does not end a watch in time is gone
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
        # Compression costs the API server far more than the bytes cost a network beside it.
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        self._timeout_s = request_timeout_s
        self._transport: Transport | None = None
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
        if self._transport is not None:
            closing, self._transport = self._transport, None
            await closing.close()

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

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource[V],
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        timeout_s: int = 300,
    ) -> AsyncIterator[EventStream[V]]:
        """Yield what changes after `resource_version`, once the server begins to answer; it ends after `timeout_s`.

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
        async with self.streamed(resource.path(namespace=namespace), query=query) as answer:
            yield EventStream(answer, resource.view, ends_within_s=timeout_s + _LONGER_THAN_WATCH_S)

    @asynccontextmanager
    async def streamed(self, path: str, *, query: Mapping[str, str]) -> AsyncIterator[Answer]:
        """Yield an answer that is read as it comes, once its head is there.

        Raises:
            ApiError: the API server refused, or is away.
        """
        async with AsyncExitStack() as stack:
            with self._late_told():
                async with asyncio.timeout(self._timeout_s):
                    sent = self._connected().streamed(self._get(path, query))
                    answer = await stack.enter_async_context(sent)
                    if not _is_good(answer):
                        raise self._refusal(answer, await answer.body(most=MAX_REFUSAL_BYTES))
            yield answer

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
        call = self._get(path, query, headers) if body is None else self._sending(method, path, body, headers)
        with self._late_told():
            async with asyncio.timeout(self._timeout_s):
                answer, found = await self._connected().whole(call, most=MAX_ANSWER_BYTES)
        if not _is_good(answer):
            raise self._refusal(answer, found)
        if found is None:
            raise errors.UnavailableError(f"the API server's answer is larger than {MAX_ANSWER_BYTES} bytes")
        return found

    @contextmanager
    def _late_told(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            message = f"the API server {self.credentials.server} does not answer within {self._timeout_s:g} s"
            raise errors.UnavailableError(message) from error

    def _refusal(self, answer: Answer, body: bytes | None) -> errors.ApiError:
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self.credentials.forget()
        return refusal(answer.status, answer.headers, body)

    def _get(
        self, path: str, query: Mapping[str, str] | None, headers: Mapping[str, str] | None = None
    ) -> Call:
        """Return a read; names in paths are encoded already, values are here."""
        words = f"?{urlencode(query)}" if query else ""
        return Call("GET", f"{path}{words}", self._said(headers))

    def _sending(self, method: str, path: str, body: Any, headers: Mapping[str, str] | None) -> Call:
        content = msgspec.json.encode(body)
        return Call(
            method, path, self._said({"Content-Type": "application/json", **(headers or {})}), content
        )

    def _said(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        token = self.credentials.bearer()
        who = {"Authorization": f"Bearer {token}"} if token else {}
        return {**self._headers, **who, **(headers or {})}

    def _connected(self) -> Transport:
        if self._transport is None:
            own = self.credentials
            self._transport = Transport(own.server, tls=own.ssl_context(), server_name=own.tls_server_name)
        return self._transport


def _is_good(answer: Answer) -> bool:
    return HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES


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
