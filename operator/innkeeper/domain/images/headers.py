"""Disk image headers, parsed before any QEMU tool opens the file.

A qcow2 header may name other files: a backing file, an external data file. Whoever opened such an image would read
whatever it names, so both are refused, as is every feature that this parser does not know. Formats are never guessed:
the declared one must be the real one. Tables that are too large, or lie outside the file, are refused before QEMU would
read them. Works on the first bytes only; reads no file. The format: https://www.qemu.org/docs/master/interop/qcow2.html
"""

import struct
from dataclasses import dataclass

from innkeeper.domain.images import compression
from innkeeper.domain.reasons import ImageReason
from innkeeper.errors import TerminalError

HEAD_BYTES = 64 * 1024  # all that is looked at
SECTOR = 512
MAX_VIRTUAL_BYTES = 8 * 1024**4  # of a disk; what is larger is a mistake, or wants to fill a host

_QCOW2 = b"QFI\xfb"
_MIN_V3_HEADER = 104
_CLUSTER_BITS = range(9, 22)
_DIRTY, _CORRUPT, _EXTERNAL_DATA, _COMPRESSION, _EXTENDED_L2 = (1 << bit for bit in range(5))
_KNOWN_FEATURES = _DIRTY | _CORRUPT | _EXTERNAL_DATA | _COMPRESSION | _EXTENDED_L2
_MAX_L1_BYTES = 32 * 1024**2  # QEMU's own limits
_MAX_REFCOUNT_TABLE_BYTES = 8 * 1024**2
_ENTRY, _EXTENDED_ENTRY = 8, 16  # bytes of an entry of an L2 table
_END, _DATA_FILE_NAME = 0, 0x44415441
_MAX_EXTENSIONS = 64
_BOOT_SIGNATURE = b"\x55\xaa"

# What people put in the place of a raw disk, told apart by how it begins.
_OTHERS = (
    (0, _QCOW2, "a qcow2 image"),
    (0, b"KDMV", "a VMDK image"),
    (0, b"# Disk Descriptor", "a VMDK descriptor"),
    (0, b"vhdxfile", "a VHDX image"),
    (0, b"conectix", "a VHD image"),
    (0x40, b"\x7f\x10\xda\xbe", "a VDI image"),
    (0, b"QED\0", "a QED image"),
    (0, b"LUKS\xba\xbe", "an encrypted (LUKS) volume"),
    (0, b"BZh", "compressed with bzip2"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0x8001, b"CD001", "an ISO 9660 image"),
)


class ImageHeaderError(TerminalError):
    """The file is not the image that it is said to be, or not one that is safe to open."""


@dataclass(frozen=True)
class ImageHeader:
    """What the header says. The virtual size is the size of the disk that a guest sees, in bytes."""

    format: str
    virtual_size: int


def parse(head: bytes, *, size: int, declared: str) -> ImageHeader:
    """Return the header of a file of `size` bytes that begins with `head` (`HEAD_BYTES`, or the whole).

    Raises:
        ImageHeaderError: it is not a safe image of the declared format.
    """
    if found := compression.found_in(head):
        raise ImageHeaderError(
            f"it is compressed with {found.tool}: set spec.compression: {found} in a new Image, or unpack it",
            reason=ImageReason.FORMAT_MISMATCH,
        )
    if declared == "qcow2":
        return _parse_qcow2(head, size)
    if declared == "raw":
        return _parse_raw(head, size)
    raise ImageHeaderError(
        f"the format {declared!r} is not known; use raw or qcow2", reason=ImageReason.FORMAT_MISMATCH
    )


def _parse_raw(head: bytes, size: int) -> ImageHeader:
    for offset, magic, what in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            raise ImageHeaderError(
                f"the file is {what}, not a raw disk; convert or unpack it, or mend spec.format",
                reason=ImageReason.FORMAT_MISMATCH,
            )
    if size == 0 or size % SECTOR or head[SECTOR - 2 : SECTOR] != _BOOT_SIGNATURE:
        raise ImageHeaderError(
            "the file is no bootable raw disk: it has no boot sector, or is no multiple of 512 bytes",
            reason=ImageReason.NOT_AN_IMAGE,
        )
    return _checked(ImageHeader("raw", size))


def _checked(header: ImageHeader) -> ImageHeader:
    if header.virtual_size > MAX_VIRTUAL_BYTES:
        raise ImageHeaderError(
            f"the image's disk has {header.virtual_size} bytes, and at most {MAX_VIRTUAL_BYTES} are allowed",
            reason=ImageReason.TOO_LARGE,
        )
    return header


def _parse_qcow2(head: bytes, size: int) -> ImageHeader:
    if head[:4] != _QCOW2:
        raise ImageHeaderError(
            "the file does not begin like a qcow2 image; mend the source or spec.format",
            reason=ImageReason.FORMAT_MISMATCH
            if head[SECTOR - 2 : SECTOR] == _BOOT_SIGNATURE
            else ImageReason.NOT_AN_IMAGE,
        )
    try:
        version, backing, _backing_size, cluster_bits, virtual_size, encryption = struct.unpack_from(
            ">IQIIQI", head, 4
        )
        if version not in (2, 3) or cluster_bits not in _CLUSTER_BITS or not virtual_size:
            raise _damaged("its version, cluster size or disk size makes no sense")
        if backing:
            raise _unsafe("names a backing file; flatten it with `qemu-img convert`")
        if encryption:
            raise _unsafe("is encrypted, which is not supported")
        length = 72
        if version == 3:  # noqa: PLR2004 - the version of the format that has features
            length = _check_features(head)
        _check_extensions(head, length)
        header = _checked(ImageHeader("qcow2", virtual_size))
        _check_tables(head, size, virtual_size=virtual_size, cluster_bytes=1 << cluster_bits, version=version)
    except struct.error as error:
        raise _damaged("the header is cut short") from error
    return header


def _check_tables(head: bytes, size: int, *, virtual_size: int, cluster_bytes: int, version: int) -> None:
    """Refuse tables that make no sense for a disk of this size, and snapshots, which nobody would see."""
    l1_entries, l1_offset, refcounts_offset, refcount_clusters, snapshots = struct.unpack_from(
        ">IQQII", head, 36
    )
    if snapshots:
        raise _unsafe("holds snapshots of its own; flatten it with `qemu-img convert`")
    extended = version > 2 and bool(struct.unpack_from(">Q", head, 72)[0] & _EXTENDED_L2)  # noqa: PLR2004 - as above
    covers = cluster_bytes * cluster_bytes // (_EXTENDED_ENTRY if extended else _ENTRY)
    if l1_entries < -(-virtual_size // covers) or l1_entries * _ENTRY > _MAX_L1_BYTES:
        raise _damaged(f"its first table has {l1_entries} entries, which makes no sense for its disk")
    if refcount_clusters * cluster_bytes > _MAX_REFCOUNT_TABLE_BYTES:
        raise _damaged("its table of reference counts is too large")
    for offset, length in (
        (l1_offset, l1_entries * _ENTRY),
        (refcounts_offset, refcount_clusters * cluster_bytes),
    ):
        if offset % cluster_bytes or offset + length > size:
            raise _damaged("a table lies outside the file; was it copied whole?")


def _check_features(head: bytes) -> int:
    """Refuse features that are unsafe or unknown; return the header's length."""
    (features,) = struct.unpack_from(">Q", head, 72)
    (length,) = struct.unpack_from(">I", head, 100)
    if features & _EXTERNAL_DATA:
        raise _unsafe("keeps its data in another file; flatten it with `qemu-img convert`")
    if features & _DIRTY:
        raise _damaged("it was not closed in order; repair it with `qemu-img check -r all`")
    if features & _CORRUPT:
        raise _damaged("it is marked as corrupt; repair it with `qemu-img check -r all`")
    if features & ~_KNOWN_FEATURES:
        raise _unsafe(f"uses features that are not known ({features & ~_KNOWN_FEATURES:#x})")
    if length < _MIN_V3_HEADER or length % 8:
        raise _damaged("the header's length makes no sense")
    return int(length)


def _check_extensions(head: bytes, offset: int) -> None:
    """Walk the header's extensions: none may name another file."""
    for _ in range(_MAX_EXTENSIONS):
        kind, length = struct.unpack_from(">II", head, offset)
        if kind == _END:
            return
        if kind == _DATA_FILE_NAME:
            raise _unsafe("names an external data file; flatten it with `qemu-img convert`")
        offset += 8 + (length + 7) // 8 * 8
    raise _damaged("it has too many header extensions")


def _damaged(what: str) -> ImageHeaderError:
    return ImageHeaderError(f"the qcow2 image is damaged: {what}", reason=ImageReason.NOT_AN_IMAGE)


def _unsafe(what: str) -> ImageHeaderError:
    return ImageHeaderError(f"the qcow2 image {what}", reason=ImageReason.UNSAFE_IMAGE)
