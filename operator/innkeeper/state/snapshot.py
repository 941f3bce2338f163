"""The subset in a file: every watched kind as it was at one of its versions, bound to one API server's store.

The form: a line that names it, the header (its length first), one block of objects for each kind, and a digest over all
of that (SHA-256; BLAKE2b in the form before). A file is used whole or not at all: what is cut, damaged, of another form,
of another store or of a history that the store has lost is refused with a reason. Objects that another version of this
program would read otherwise are refused kind by kind.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from innkeeper.errors import InnkeeperError
from innkeeper.views.meta import View

MAGIC = b"innkeeper-snapshot\n"
FORM = 3
_FORM_WITH_BLAKE2B = 2  # the same otherwise; where processors help, as most do, SHA-256 takes half the time
MAX_BYTES = 8 * 1024**3
_LENGTH = 8
_DIGEST = 32


class Refused(StrEnum):
    """Why a snapshot was not used."""

    ABSENT = "absent"
    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    OTHER_FORM = "other_form"
    OTHER_STORE = "other_store"
    OTHER_HISTORY = "other_history"


class SnapshotRefusedError(InnkeeperError):
    """The file is of no use; everything is listed instead."""

    reason = "SnapshotRefused"
    retryable = False

    def __init__(self, why: Refused, message: str) -> None:
        super().__init__(message)
        self.why = why


@dataclass(frozen=True)
class Kind:
    """One kind at one version of it."""

    resource_version: str
    objects: list[Any]


class _Block(msgspec.Struct, frozen=True):
    kind: str
    fields: str  # a digest of how the objects are read
    resource_version: str
    length: int


class Origin(msgspec.Struct, frozen=True):
    """What a snapshot was taken of: a store, and the mark that one replica left in it right afterwards."""

    store: str
    replica: str
    mark: str


class _Form(msgspec.Struct, frozen=True):
    form: int


class _Header(msgspec.Struct, frozen=True):
    form: int
    origin: Origin
    made_at: str
    blocks: list[_Block]


@dataclass(frozen=True)
class Part:
    """One kind at one version of it, as it lies in a file."""

    resource_version: str
    view: type[View]
    content: memoryview

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.content)

    def objects(self) -> list[Any]:
        """Return its objects.

        Raises:
            SnapshotRefusedError: it has another form.
        """
        try:
            found: list[Any] = msgspec.msgpack.decode(self.content, type=list[self.view])  # type: ignore[name-defined] # known at run time only
        except (msgspec.DecodeError, ValueError) as error:
            raise _of_another_form(error) from error
        return found


@dataclass(frozen=True)
class Snapshot:
    """What a file holds; `parts` by kind. A kind that is read otherwise by now is left out."""

    origin: Origin
    made_at: str
    parts: Mapping[str, Part]


def encode(
    kinds: Mapping[str, Kind], *, views: Mapping[str, type[View]], origin: Origin, made_at: str
) -> bytes:
    """Return the bytes of a file."""
    bodies = {name: msgspec.msgpack.encode(each.objects) for name, each in kinds.items()}
    blocks = [
        _Block(name, fields_of(views[name]), kinds[name].resource_version, len(body))
        for name, body in bodies.items()
    ]
    header = msgspec.msgpack.encode(_Header(FORM, origin, made_at, blocks))
    content = b"".join((MAGIC, len(header).to_bytes(_LENGTH), header, *bodies.values()))
    return content + _digest(content)


def opened(content: bytes, *, views: Mapping[str, type[View]]) -> Snapshot:
    """Return what a file holds, its objects unread; whether it fits the store is the caller's to judge.

    Raises:
        SnapshotRefusedError: it is damaged, or of another form.
    """
    header, blocks = _opened(content)
    parts = {
        block.kind: Part(block.resource_version, view, part)
        for block, part in blocks
        if (view := views.get(block.kind)) is not None and block.fields == fields_of(view)
    }
    return Snapshot(header.origin, header.made_at, parts)


def contents(content: bytes) -> list[tuple[str, memoryview]]:
    """Return the name of each kind in a file, and its objects as they were written.

    Raises:
        SnapshotRefusedError: it is damaged, or of another form.
    """
    return [(block.kind, part) for block, part in _opened(content)[1]]


def _opened(content: bytes) -> tuple[_Header, list[tuple[_Block, memoryview]]]:
    whole = memoryview(content)
    body, digest = whole[:-_DIGEST], whole[-_DIGEST:]
    at = len(MAGIC) + _LENGTH
    length = int.from_bytes(body[len(MAGIC) : at])
    head = body[at : at + length]
    # It may be damaged as well: then the digest is wrong whichever form it seems to have.
    form = _form_of(head)
    if body[: len(MAGIC)] != MAGIC or _digest(body, form=form) != digest:
        raise SnapshotRefusedError(Refused.DAMAGED, "the snapshot is cut or damaged")
    if form not in (FORM, _FORM_WITH_BLAKE2B):
        raise SnapshotRefusedError(Refused.OTHER_FORM, f"the snapshot has the form {form}, not {FORM}")
    try:
        header = msgspec.msgpack.decode(head, type=_Header)
    except msgspec.DecodeError as error:
        raise _of_another_form(error) from error
    at += length
    blocks = []
    for block in header.blocks:
        blocks.append((block, body[at : at + block.length]))
        at += block.length
    return header, blocks


def _form_of(head: memoryview) -> int | None:
    try:
        return msgspec.msgpack.decode(head, type=_Form).form
    except (msgspec.DecodeError, ValueError):
        return None


def _of_another_form(error: Exception) -> SnapshotRefusedError:
    return SnapshotRefusedError(Refused.OTHER_FORM, f"the snapshot has another form: {error}")


def fields_of(view: type[View]) -> str:
    """Return a digest of how objects of a kind are read: their fields, types and defaults, not what is said of them."""
    schema = json.dumps(_without_words(msgspec.json.schema(view)), sort_keys=True)
    return hashlib.blake2b(schema.encode(), digest_size=8).hexdigest()


def _without_words(schema: Any) -> Any:
    """Return a JSON schema without descriptions, which are docstrings; a field of that name has a schema, no text."""
    if isinstance(schema, list):
        return [_without_words(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_words(value)
        for key, value in schema.items()
        if not (key == "description" and isinstance(value, str))
    }


def read(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        SnapshotRefusedError: there is none, or it cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SnapshotRefusedError(Refused.UNREADABLE, f"{path} is larger than {MAX_BYTES} bytes")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise SnapshotRefusedError(Refused.ABSENT, f"there is no snapshot {path}") from error
    except OSError as error:
        raise SnapshotRefusedError(Refused.UNREADABLE, f"{path} cannot be read: {error}") from error


def _digest(content: bytes | memoryview, *, form: int | None = FORM) -> bytes:
    if form == _FORM_WITH_BLAKE2B:
        return hashlib.blake2b(content, digest_size=_DIGEST).digest()
    return hashlib.sha256(content).digest()
