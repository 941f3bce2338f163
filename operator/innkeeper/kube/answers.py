"""What the API server answers, from bytes to views: lists, events, refusals.

Everything is read up to a cap. An object that does not fit its view is logged and left out, and its name is told, so that
one strange object neither stops a kind nor passes for deleted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

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


class _ChangeOf(msgspec.Struct, Generic[V]):
    """An event that tells of a change, its object read at once."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: V


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


def refusal(status: int, headers: Mapping[str, str], body: bytes | None) -> errors.ApiError:
    """Return the error that an answer with a status of 300 and above means; headers by names in lower case."""
    text = (body or b"")[:MAX_REFUSAL_BYTES]
    try:
        answer = msgspec.json.decode(text, type=StatusAnswer)
    except (msgspec.DecodeError, UnicodeError):
        answer = StatusAnswer(message=text.decode(errors="replace"))
    after = headers.get("retry-after", "")
    return errors.from_answer(
        status,
        reason=answer.reason,
        message=answer.message or f"HTTP {status}",
        causes=answer.causes,
        retry_after_s=float(after) if after.isdigit() else None,
    )


class Lines:
    """Puts chunks together and cuts them into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def of(self, chunk: bytes) -> list[bytes]:
        """Return the lines that are complete now, the empty ones left out.

        Raises:
            ApiError: UnavailableError where a line is larger than MAX_EVENT_BYTES.
        """
        *lines, self._rest = (self._rest + chunk if self._rest else chunk).split(b"\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise errors.UnavailableError(f"an event is larger than {MAX_EVENT_BYTES} bytes")
        return [line for line in lines if line]


class EventReader(Generic[V]):
    """Reads the events of one kind."""

    def __init__(self, view: type[V]) -> None:
        self._view = view
        self._whole = msgspec.json.Decoder(_ChangeOf[view])  # type: ignore[valid-type] # known at run time only

    def event(self, line: bytes) -> WatchEvent[V]:
        """Return the event in one line of a watch.

        Raises:
            ApiError: what an ERROR event means; UnreadableError where the line is no event; GoneError where a deletion
                cannot be read, since only a new list tells then what is gone.
        """
        try:
            change = self._whole.decode(line)
        except (msgspec.DecodeError, UnicodeError):
            return self._other(line)  # a bookmark, an error, or what is looked at more closely
        found: V = change.object
        version: str = found.metadata.resource_version  # type: ignore[attr-defined] # every view of a kind has metadata
        return WatchEvent(change.type, version, found)

    def _other(self, line: bytes) -> WatchEvent[V]:
        raw = decoded(line, _RawEvent)
        if raw.type == "ERROR":
            answer = decoded(raw.object, StatusAnswer)
            raise errors.from_answer(answer.code or 500, reason=answer.reason, message=answer.message)
        if raw.type != "BOOKMARK":
            try:
                found = msgspec.json.decode(raw.object, type=self._view)
            except msgspec.ValidationError as error:
                unreadable_key(raw.object, self._view, error)
                if raw.type == "DELETED":
                    raise errors.GoneError("an object that cannot be read was deleted; list anew") from error
            else:
                version: str = found.metadata.resource_version  # type: ignore[attr-defined] # as above
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
