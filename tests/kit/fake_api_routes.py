"""HTTP of the fake API server: paths, verbs, pages, watches. What happens to objects is the store's.

Each request becomes a Call, which meets the faults before and after it is carried out and then stands in the log.
"""

import asyncio
import contextlib
import inspect
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import web

from tests.kit.fake_api_documents import Matcher, RefusedError, selector
from tests.kit.fake_api_faults import Call, CutError, Faults, Hook
from tests.kit.fake_api_kinds import Document, Kind
from tests.kit.fake_api_store import Event, Store

_VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
_MERGE_PATCH = "application/merge-patch+json"


class Api(Protocol):
    """What the routes need of the server."""

    store: Store
    faults: Faults
    calls: list[Call]
    on_write: Hook | None
    bookmark_s: float

    def user_of(self, token: str) -> str | None:
        """Return whom a token names."""
        ...

    def new_token(self, user: str) -> str:
        """Return a new token for a user."""
        ...

    def may(self, review: Mapping[str, Any]) -> bool:
        """Answer a SubjectAccessReview."""
        ...


OpenStream = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _open_stream(request: web.Request) -> web.StreamResponse:
    """Begin the answer to a watch."""
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    return answer


class Routes:
    """Handlers of one server."""

    def __init__(self, api: Api, *, open_stream: OpenStream = _open_stream) -> None:
        self._api = api
        self._open_stream = open_stream
        self._pages: dict[str, tuple[int, list[Document]]] = {}
        self._listed_at: dict[Kind, int] = {}  # how far the cache of a kind has come, as far as that matters

    def add_to(self, app: web.Application) -> None:
        """Serve both roots and everything below them."""
        app.router.add_route("*", "/api/{version}/{rest:.*}", self.handle)
        app.router.add_route("*", "/apis/{group}/{version}/{rest:.*}", self.handle)
        app.router.add_get("/readyz", self._ready)

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            call = self._call(request)
        except RefusedError as refusal:
            return _refused(refusal)
        self._api.calls.append(call)
        try:
            answer = await self._answer(request, call)
        except RefusedError as refusal:
            answer = _refused(refusal)
        except CutError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        call.status = answer.status
        return answer

    def _call(self, request: web.Request) -> Call:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        user = self._api.user_of(token) if scheme == "Bearer" else None
        if user is None:
            raise RefusedError(401, "Unauthorized", "Unauthorized")
        namespace, parts = _place(request.match_info["rest"])
        plural, name, subresource = (*parts, "", "")[:3]
        verb = _VERBS[request.method]
        if verb == "get" and not name:
            verb = "watch" if request.query.get("watch") in ("1", "true") else "list"
        group = request.match_info.get("group", "")
        return Call(
            verb=verb,
            resource=plural,
            group=group,
            subresource=subresource,
            namespace=namespace,
            name=name,
            user=user,
        )

    async def _answer(self, request: web.Request, call: Call) -> web.StreamResponse:
        faults = self._api.faults
        await faults.strike(call)
        if call.verb == "watch":
            return await self._watch(request, call)
        if call.resource in ("tokenreviews", "subjectaccessreviews") or call.subresource == "token":
            return self._review(await request.json(), call)
        if call.is_write:
            await self._hook(call, "before")
        answer = await self._done(request, call)
        if call.is_write:
            await self._hook(call, "after")
        await faults.strike(call, after=True)
        return answer

    async def _hook(self, call: Call, moment: str) -> None:
        if self._api.on_write is not None:
            result = self._api.on_write(call, moment)
            if inspect.isawaitable(result):
                await result

    async def _done(self, request: web.Request, call: Call) -> web.Response:
        kind = self._kind(request, call)
        body: Document = await request.json() if request.can_read_body else {}
        store, key = self._api.store, (call.namespace, call.name)
        if call.verb == "list":
            return self._list(request, call, kind)
        if call.verb == "get":
            return _json(store.get(kind, key))
        if call.verb == "create":
            created = store.create(kind, body, namespace=call.namespace)
            # The log says what was made, though the path does not name it.
            call.name = created["metadata"]["name"]
            return _json(created, status=201)
        if call.verb == "delete":
            deleted = store.delete(kind, key, preconditions=body.get("preconditions"))
            return _json(deleted)
        if call.verb == "patch" and request.content_type != _MERGE_PATCH:
            raise RefusedError(415, "UnsupportedMediaType", f"this fake knows {_MERGE_PATCH} only")
        change = store.patch if call.verb == "patch" else store.update
        return _json(change(kind, key, body, subresource=call.subresource))

    def _kind(self, request: web.Request, call: Call) -> Kind:
        kind = self._api.store.kinds.get((call.group, request.match_info["version"], call.resource))
        known = kind is not None and call.subresource in ("", "status" if kind.has_status else "")
        if kind is None or not known or (call.namespace and not kind.namespaced):
            raise RefusedError(404, "NotFound", "the server could not find the requested resource")
        return kind

    # Lists

    def _list(self, request: web.Request, call: Call, kind: Kind) -> web.Response:
        store, query = self._api.store, request.query
        if token := query.get("continue"):
            if self._api.faults.expired_pages:
                self._api.faults.expired_pages -= 1
                self._pages.pop(token, None)
            if token not in self._pages:
                raise RefusedError(410, "Expired", "The provided continue parameter is too old")
            version, rest = self._pages.pop(token)
        else:
            matches = selector(query.get("labelSelector"), query.get("fieldSelector"))
            version = self._listed_at[kind] = store.version
            rest = store.selected(kind, namespace=call.namespace or None, matches=matches)
        limit = int(query.get("limit", "0")) or len(rest)
        metadata: Document = {"resourceVersion": str(version)}
        if rest[limit:]:
            metadata["continue"] = next_token = uuid.uuid4().hex
            metadata["remainingItemCount"] = len(rest) - limit
            self._pages[next_token] = (version, rest[limit:])
        return _json(_listing(kind, metadata, rest[:limit], accept=request.headers.get("Accept", "")))

    # Watches

    async def _watch(self, request: web.Request, call: Call) -> web.StreamResponse:
        kind = self._kind(request, call)
        matches = selector(request.query.get("labelSelector"), request.query.get("fieldSelector"))
        call.status = 200
        answer = await self._open_stream(request)
        with contextlib.suppress(ConnectionError):
            await self._stream(request, call, kind, answer, matches)
            await answer.write_eof()
        return answer

    async def _stream(
        self, request: web.Request, call: Call, kind: Kind, answer: web.StreamResponse, matches: Matcher
    ) -> None:
        store, faults = self._api.store, self._api.faults
        began = seen = int(request.query.get("resourceVersion") or store.version)
        clock = asyncio.get_running_loop().time
        end = clock() + float(request.query.get("timeoutSeconds", "300"))
        dropped = asyncio.ensure_future(faults.watch_drops.wait())
        bookmark_at = clock() + self._api.bookmark_s
        try:
            while (now := clock()) < end and not dropped.done():
                changed = asyncio.ensure_future(store.changed(kind).wait())
                held = faults.is_held(call)
                if not held:
                    for event in store.since(seen):
                        seen = event.version
                        if event.kind != kind:
                            continue
                        self._listed_at[kind] = max(seen, self._listed_at.get(kind, 0))
                        if call.namespace in ("", event.document["metadata"].get("namespace")):
                            await _send(answer, _seen_through(event, matches))
                    if now >= bookmark_at and request.query.get("allowWatchBookmarks") == "true":
                        bookmark_at = now + self._api.bookmark_s
                        # Who asks for a future version hears nothing before it comes, as on the real one.
                        cached = self._listed_at.get(kind, 0) if faults.cache_rests else store.version
                        if store.version >= seen and (cached > began or not faults.cache_rests):
                            await _send(answer, ("BOOKMARK", _bookmark(kind, cached)))
                looks_at = bookmark_at if bookmark_at > now and not held else now + 0.05
                wait_s = max(0.0, min(end, looks_at) - now)
                await asyncio.wait({changed, dropped}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
            if dropped.done() and request.transport is not None:
                request.transport.abort()
        except RefusedError as refusal:
            await _send(answer, ("ERROR", refusal.document()))
        finally:
            dropped.cancel()

    # Reviews

    def _review(self, body: Document, call: Call) -> web.Response:
        status: Document
        if call.resource == "subjectaccessreviews":
            status = {"allowed": self._api.may(body["spec"])}
        elif call.resource == "tokenreviews":
            user = self._api.user_of(body["spec"]["token"])
            status = {"authenticated": user is not None, "user": {"username": user or ""}}
        else:
            self._api.store.get(self._api.store.kind("serviceaccounts"), (call.namespace, call.name))
            token = self._api.new_token(f"system:serviceaccount:{call.namespace}:{call.name}")
            expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
            status = {"token": token, "expirationTimestamp": expires}
        return _json({**body, "status": status}, status=201)


def _place(rest: str) -> tuple[str, list[str]]:
    """Split a path into a namespace and plural, name, subresource."""
    parts = [part for part in rest.split("/") if part]
    # `namespaces/NAME` and `namespaces/NAME/status` are the namespace itself.
    if parts[:1] == ["namespaces"] and len(parts) > 2 and parts[2] != "status":
        return parts[1], parts[2:]
    return "", parts


def _listing(kind: Kind, metadata: Document, items: list[Document], *, accept: str) -> Document:
    if "as=PartialObjectMetadataList" in accept:
        bare = [
            {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": item["metadata"]}
            for item in items
        ]
        return {
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadataList",
            "metadata": metadata,
            "items": bare,
        }
    return {
        "apiVersion": kind.api_version,
        "kind": f"{kind.kind}List",
        "metadata": metadata,
        "items": items,
    }


def _seen_through(event: Event, matches: Matcher) -> tuple[str, Document] | None:
    """Return an event as a watch with a selector has it: objects enter and leave the selection."""
    before = event.before is not None and matches(event.before)
    after = event.type != "DELETED" and matches(event.document)
    if before and after:
        return "MODIFIED", event.document
    if after:
        return "ADDED", event.document
    return ("DELETED", event.document) if before else None


def _bookmark(kind: Kind, version: int) -> Document:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"resourceVersion": str(version), "creationTimestamp": None},
    }


async def _send(answer: web.StreamResponse, event: tuple[str, Document] | None) -> None:
    if event is not None:
        await answer.write(json.dumps({"type": event[0], "object": event[1]}).encode() + b"\n")


def _json(document: Document, *, status: int = 200) -> web.Response:
    return web.json_response(document, status=status)


def _refused(refusal: RefusedError) -> web.Response:
    headers = {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s is not None else None
    return web.json_response(refusal.document(), status=refusal.status, headers=headers)
