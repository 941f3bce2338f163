"""Small ISO 9660 volumes (ECMA-119) with Joliet names, written and read back: a few files in the root, nothing else.

The same files give the same bytes: there is no clock in it. Readers without Joliet see the names in upper case, which
Linux turns into lower case. Pure; decision record 0003 says why it is here.
"""

import struct
from collections.abc import Callable, Mapping

SECTOR = 2048
_SYSTEM_AREA = 16
_PRIMARY, _JOLIET, _TERMINATOR = 16, 17, 18
_TABLES = 19  # four path tables of a sector each
_PRIMARY_ROOT, _JOLIET_ROOT = 23, 24
_FIRST_FILE = 25
_TABLE_BYTES = 10
_DIRECTORY = 2
_DATE = bytes((120, 1, 1, 0, 0, 0, 0))  # 2020-01-01: a file must have one
_NO_DATE = b"0" * 16 + b"\0"
_UCS2_LEVEL_3 = b"%/E"

Encode = Callable[[str], bytes]


def volume(label: str, files: Mapping[str, bytes]) -> bytes:
    """Return the volume.

    Raises:
        ValueError: the files' names do not fit into one sector.
    """
    places, at = {}, _FIRST_FILE
    for name in sorted(files):
        places[name] = (at, len(files[name]))
        at += _sectors(len(files[name]))
    sectors = [
        bytes(SECTOR * _SYSTEM_AREA),
        _descriptor(1, label, _ascii, sectors=at, table=_TABLES, root=_PRIMARY_ROOT),
        _descriptor(2, label, _ucs2, sectors=at, table=_TABLES + 2, root=_JOLIET_ROOT),
        _padded(b"\xffCD001\x01"),
        *_path_tables(_PRIMARY_ROOT),
        *_path_tables(_JOLIET_ROOT),
        _directory(_PRIMARY_ROOT, places, lambda name: _ascii(name.upper())),
        _directory(_JOLIET_ROOT, places, _ucs2),
        *(_padded(files[name]) for name in sorted(files)),
    ]
    return b"".join(sectors)


def files(made: bytes) -> dict[str, bytes]:
    """Return the files of a volume that was made here.

    Raises:
        ValueError: it is none, or damaged; so say LookupError and struct.error.
    """
    records = made[SECTOR * _JOLIET_ROOT :][:SECTOR]
    found = {}
    while records[0]:
        start, length = struct.unpack("<I4xI", records[2:14])
        name, content = records[33 : 33 + records[32]], made[SECTOR * start :][:length]
        if len(content) < length:
            raise ValueError("the volume is cut off")
        if not records[25] & _DIRECTORY:
            found[name.decode("utf-16-be").removesuffix(";1")] = content
        records = records[records[0] :]
    return found


def _descriptor(kind: int, label: str, encode: Encode, *, sectors: int, table: int, root: int) -> bytes:
    blank = encode(" ")

    def text(content: str, length: int) -> bytes:
        return (encode(content) + blank * length)[: length // len(blank) * len(blank)].ljust(length, b"\0")

    parts = (
        bytes((kind,)) + b"CD001\x01\0",
        text("", 32) + text(label, 32) + bytes(8),
        _both32(sectors),
        (_UCS2_LEVEL_3 if encode is _ucs2 else b"").ljust(32, b"\0"),
        _both16(1) + _both16(1) + _both16(SECTOR),
        _both32(_TABLE_BYTES),
        struct.pack("<II", table, 0) + struct.pack(">II", table + 1, 0),
        _record(b"\0", root, SECTOR, _DIRECTORY),
        text("", 128) * 4 + text("", 37) * 3,
        _NO_DATE * 4 + b"\x01",
    )
    return _padded(b"".join(parts))


def _path_tables(root: int) -> tuple[bytes, bytes]:
    return (
        _padded(struct.pack("<BBIHBB", 1, 0, root, 1, 0, 0)),
        _padded(struct.pack(">BBIHBB", 1, 0, root, 1, 0, 0)),
    )


def _directory(root: int, places: Mapping[str, tuple[int, int]], encode: Encode) -> bytes:
    records = [_record(b"\0", root, SECTOR, _DIRECTORY), _record(b"\x01", root, SECTOR, _DIRECTORY)]
    named = sorted((encode(f"{name};1"), place) for name, place in places.items())
    records += [_record(name, start, length, 0) for name, (start, length) in named]
    content = b"".join(records)
    if len(content) > SECTOR:
        raise ValueError("the files' names do not fit into one sector")
    return _padded(content)


def _record(name: bytes, start: int, length: int, flags: int) -> bytes:
    body = _both32(start) + _both32(length) + _DATE + bytes((flags, 0, 0)) + _both16(1)
    body += bytes((len(name),)) + name
    body += bytes(len(body) % 2)
    return bytes((len(body) + 2, 0)) + body


def _padded(content: bytes) -> bytes:
    return content.ljust(_sectors(len(content)) * SECTOR, b"\0")


def _sectors(length: int) -> int:
    return -(-length // SECTOR)


def _both16(number: int) -> bytes:
    return struct.pack("<H", number) + struct.pack(">H", number)


def _both32(number: int) -> bytes:
    return struct.pack("<I", number) + struct.pack(">I", number)


def _ascii(text: str) -> bytes:
    return text.encode("ascii")


def _ucs2(text: str) -> bytes:
    return text.encode("utf-16-be")
