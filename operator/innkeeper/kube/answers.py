"""What the API server answers, from bytes to views: lists, events, refusals.

Everything is read up to a cap. An object that does not fit its view is logged and left out, and its name is told, so that
one strange object neither stops a kind nor passes for deleted.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import aiohttp
import msgspec
import structlog

from innkeeper.kube import errors
from innkeeper.views.meta import Meta, View

V = TypeVar("V", bound=View)
T = TypeVar("T")

MAX_ANSWER_BYTES = 256 * 1024 * 1024
MAX_EVENT_BYTES = 4 * 1024 * 1024
MAX_REFUSAL_BYTES = 64 * 1024

log = structlog.get_logger()


class ListMeta(View, frozen=True, kw_only=True):
    """A list's own metadata."""

    resource_version: str = ""
    continue_: str | None = msgspec.field(name="continue", default=None)


class MetadataOnly(View, frozen=True, kw_only=True):
    """An object without its content."""

    metadata: Meta


class _Cause(View, frozen=True, kw_only=True):
    reason: str = ""


class _Details(View, frozen=True, kw_only=True):
    causes: list[_Cause] | None = None


class StatusAnswer(View, frozen=True, kw_only=True):
    """A `metav1.Status`: how the API server says no."""

    reason: str = ""
    message: str = ""
    code: int = 0
    details: _Details | None = None

    @property
    def causes(self) -> frozenset[str]:
        """What the API server names as causes."""
        causes = self.details.causes if self.details is not None else None
        return frozenset(each.reason for each in causes or ())


class _RawEvent(msgspec.Struct):
    type: str
    object: msgspec.Raw


class RawList(View, frozen=True, kw_only=True):
    """A page of a list, its objects not yet decoded: each may fail by itself."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


@dataclass(frozen=True)
class Listing(Generic[V]):
    """A complete list and the version that it shows.

    `unreadable` are (namespace, name) of objects that do not fit the view: they are there, but cannot be told.
    """

    items: list[V]
    resource_version: str
    unreadable: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class WatchEvent(Generic[V]):
    """One event of a watch: ADDED, MODIFIED, DELETED, or BOOKMARK (only its resourceVersion counts).

    An object that does not fit the view comes as UNREADABLE: the watch goes on behind it.
    """

    type: str
    resource_version: str
    object: V | None


async def limited(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the whole body.

    Raises:
        ApiError: UnavailableError where it is larger than `most` bytes.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > most:
            raise errors.UnavailableError(f"the API server's answer is larger than {most} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def refusal(response: aiohttp.ClientResponse) -> errors.ApiError:
    """Return the error that an answer with a status of 300 and above means."""
    text = b""
    async for chunk in response.content.iter_any():
        text += chunk
        if len(text) > MAX_REFUSAL_BYTES:
            break
    try:
        answer = msgspec.json.decode(text, type=StatusAnswer)
    except (msgspec.DecodeError, UnicodeError):
        answer = StatusAnswer(message=text.decode(errors="replace"))
    after = response.headers.get("Retry-After", "")
    return errors.from_answer(
        response.status,
        reason=answer.reason,
        message=answer.message or f"HTTP {response.status}",
        causes=answer.causes,
        retry_after_s=float(after) if after.isdigit() else None,
    )


async def lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole lines; one line may be larger than aiohttp's own buffer."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
        if len(rest) > MAX_EVENT_BYTES:
            raise errors.UnavailableError(f"an event is larger than {MAX_EVENT_BYTES} bytes")


def event_of(line: bytes, view: type[V]) -> WatchEvent[V]:
    """Return the event in one line of a watch.

    Raises:
        ApiError: what an ERROR event means; UnreadableError where the line is no event; GoneError where a deletion cannot
            be read, since only a new list tells then what is gone.
    """
    raw = decoded(line, _RawEvent)
    if raw.type == "ERROR":
        answer = decoded(raw.object, StatusAnswer)
        raise errors.from_answer(answer.code or 500, reason=answer.reason, message=answer.message)
    if raw.type != "BOOKMARK":
        try:
            found = msgspec.json.decode(raw.object, type=view)
        except msgspec.ValidationError as error:
            unreadable_key(raw.object, view, error)
            if raw.type == "DELETED":
                raise errors.GoneError("an object that cannot be read was deleted; list anew") from error
        else:
            version: str = found.metadata.resource_version  # type: ignore[attr-defined] # every view of a kind has metadata
            return WatchEvent(raw.type, version, found)
    kind = "BOOKMARK" if raw.type == "BOOKMARK" else "UNREADABLE"
    return WatchEvent(kind, decoded(raw.object, _Bookmark).metadata.resource_version, None)


def unreadable_key(raw: msgspec.Raw, view: type[View], error: Exception) -> tuple[str, str]:
    """Log that an object does not fit its view, and return (namespace, name)."""
    metadata = decoded(raw, MetadataOnly).metadata
    key = (metadata.namespace, metadata.name)
    log.error("object_unreadable", kind=view.__name__, object=key, message=str(error))
    return key


def decoded(body: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Decode JSON.

    Raises:
        ApiError: UnreadableError where it is none, or has another form.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise errors.UnreadableError(f"the API server's answer cannot be read: {error}") from error


class _BookmarkMeta(View, frozen=True, kw_only=True):
    resource_version: str = ""


class _Bookmark(View, frozen=True, kw_only=True):
    metadata: _BookmarkMeta
