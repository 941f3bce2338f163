"""The messages of NBD as bytes. Pure; numbers and layouts as in the protocol's document, named by the package.

Only what a read-only server needs: it never takes data from a client.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

GREETING = b"NBDMAGIC"
OPTION_MAGIC = b"IHAVEOPT"
_OPTION_REPLY_MAGIC = 0x3E889045565A9
_REQUEST_MAGIC = 0x25609513
_SIMPLE_REPLY_MAGIC = 0x67446698
_STRUCTURED_REPLY_MAGIC = 0x668E33EF

FIXED_NEWSTYLE = 1
NO_ZEROES = 2
META_CONTEXT = "base:allocation"
META_CONTEXT_ID = 1

_OPTION = struct.Struct(">8sII")
_OPTION_REPLY = struct.Struct(">QIII")
_REQUEST = struct.Struct(">IHHQQI")
_SIMPLE_REPLY = struct.Struct(">IIQ")
_STRUCTURED_REPLY = struct.Struct(">IHHQI")
OPTION_BYTES = _OPTION.size
REQUEST_BYTES = _REQUEST.size


class WireError(Exception):
    """The other side does not speak NBD, or more of it than is allowed here."""


class Option(IntEnum):
    """What a client may ask for before it reads."""

    EXPORT_NAME = 1
    ABORT = 2
    LIST = 3
    INFO = 6
    GO = 7
    STRUCTURED_REPLY = 8
    LIST_META_CONTEXT = 9
    SET_META_CONTEXT = 10


class OptionReply(IntEnum):
    """How an option is answered."""

    ACK = 1
    INFO = 3
    META_CONTEXT = 4
    ERR_UNSUPPORTED = 2**31 + 1
    ERR_INVALID = 2**31 + 3
    ERR_UNKNOWN = 2**31 + 6


class Info(IntEnum):
    """Kinds of information about an export."""

    EXPORT = 0
    BLOCK_SIZE = 3


class ExportFlag(IntFlag):
    """What a client may rely on."""

    HAS_FLAGS = 1 << 0
    READ_ONLY = 1 << 1
    SEND_DF = 1 << 7
    CAN_MULTI_CONN = 1 << 8


class Command(IntEnum):
    """What a client asks for while it reads; the writing ones are refused."""

    READ = 0
    WRITE = 1
    DISCONNECT = 2
    FLUSH = 3
    BLOCK_STATUS = 7


class Error(IntEnum):
    """Error numbers on the wire."""

    NOT_PERMITTED = 1
    IO = 5
    INVALID = 22


class Chunk(IntEnum):
    """Kinds of chunks of a structured reply."""

    NONE = 0
    OFFSET_DATA = 1
    OFFSET_HOLE = 2
    BLOCK_STATUS = 5
    ERROR = 2**15 + 1


class Extent(IntFlag):
    """What `base:allocation` says of a range; 0 is data."""

    HOLE = 1
    ZERO = 2


_REQ_ONE = 1 << 3
_DONE = 1  # the flag of the last chunk of a reply


@dataclass(frozen=True)
class Request:
    """One request of the transmission phase."""

    command: int
    cookie: int
    offset: int
    length: int
    wants_one: bool = False  # block status: of the first run only


def greeting() -> bytes:
    """Return what the server says first."""
    return GREETING + OPTION_MAGIC + struct.pack(">H", FIXED_NEWSTYLE | NO_ZEROES)


def read_option(head: bytes) -> tuple[int, int]:
    """Return an option's number and the length of its data.

    Raises:
        WireError: it is none.
    """
    magic, option, length = _OPTION.unpack(head)
    if magic != OPTION_MAGIC:
        raise WireError("an option has another magic number")
    return option, length


def option_reply(option: int, kind: OptionReply, data: bytes = b"") -> bytes:
    """Return one reply to an option."""
    return _OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, kind, len(data)) + data


def export_info(size: int, flags: ExportFlag) -> bytes:
    """Return the data of an INFO reply: size and flags."""
    return struct.pack(">HQH", Info.EXPORT, size, flags)


def block_size_info(*, least: int, preferred: int, most: int) -> bytes:
    """Return the data of an INFO reply: sizes of reads in bytes."""
    return struct.pack(">HIII", Info.BLOCK_SIZE, least, preferred, most)


def old_export(size: int, flags: ExportFlag, *, padded: bool) -> bytes:
    """Return the answer to EXPORT_NAME, which has a form of its own."""
    return struct.pack(">QH", size, flags) + (bytes(124) if padded else b"")


def meta_context() -> bytes:
    """Return the data of a META_CONTEXT reply for the one context that is known here."""
    return struct.pack(">I", META_CONTEXT_ID) + META_CONTEXT.encode()


def read_name(data: bytes) -> tuple[str, bytes]:
    """Return a name with its length before it, and what follows.

    Raises:
        WireError: it is longer than the data, or no text.
    """
    if len(data) < 4:  # noqa: PLR2004 - the length field
        raise WireError("a name has no length")
    length = int.from_bytes(data[:4], "big")
    name, rest = data[4 : 4 + length], data[4 + length :]
    if len(name) != length:
        raise WireError("a name is longer than its option")
    try:
        return name.decode(), rest
    except UnicodeError as error:
        raise WireError("a name is no text") from error


def read_queries(data: bytes) -> tuple[str, list[str]]:
    """Return the export and the queries of an option about meta contexts.

    Raises:
        WireError: the option is not what it should be.
    """
    name, rest = read_name(data)
    count, rest = int.from_bytes(rest[:4], "big"), rest[4:]
    queries = []
    for _ in range(count):
        query, rest = read_name(rest)
        queries.append(query)
    return name, queries


def read_request(head: bytes) -> Request:
    """Return a request.

    Raises:
        WireError: it is none.
    """
    magic, flags, command, cookie, offset, length = _REQUEST.unpack(head)
    if magic != _REQUEST_MAGIC:
        raise WireError("a request has another magic number")
    return Request(command, cookie, offset, length, wants_one=bool(flags & _REQ_ONE))


def simple_reply(cookie: int, error: int = 0) -> bytes:
    """Return the head of a simple reply; the data of a read follow it."""
    return _SIMPLE_REPLY.pack(_SIMPLE_REPLY_MAGIC, error, cookie)


def data_head(request: Request) -> bytes:
    """Return the head of a structured reply that carries all of a read at once; the data follow it."""
    head = _structured(request.cookie, Chunk.OFFSET_DATA, 8 + request.length)
    return head + request.offset.to_bytes(8, "big")


def hole_chunk(request: Request) -> bytes:
    """Return a structured reply that says: all of a read is zeros."""
    head = _structured(request.cookie, Chunk.OFFSET_HOLE, 12)
    return head + struct.pack(">QI", request.offset, request.length)


def error_chunk(cookie: int, error: Error) -> bytes:
    """Return a structured reply that says what went wrong."""
    return _structured(cookie, Chunk.ERROR, 6) + struct.pack(">IH", error, 0)


def none_chunk(cookie: int) -> bytes:
    """Return a structured reply that says no more than: done."""
    return _structured(cookie, Chunk.NONE, 0)


def status_chunk(cookie: int, extents: list[tuple[int, Extent]]) -> bytes:
    """Return a structured reply with what lies where: lengths in bytes, in order."""
    data = struct.pack(">I", META_CONTEXT_ID) + b"".join(struct.pack(">II", *each) for each in extents)
    return _structured(cookie, Chunk.BLOCK_STATUS, len(data)) + data


def _structured(cookie: int, kind: Chunk, length: int) -> bytes:
    return _STRUCTURED_REPLY.pack(_STRUCTURED_REPLY_MAGIC, _DONE, kind, cookie, length)
