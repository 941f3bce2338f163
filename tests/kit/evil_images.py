"""Images that somebody made to harm a host, or that were broken on their way: each must be refused or bounded.

Made in memory, byte by byte, from the formats' own descriptions; no tool that could refuse to make them is used.
"""

import gzip
import lzma
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from innkeeper.domain.images.compression import Compression
from innkeeper.domain.reasons import ImageReason
from tests.kit.compressed import COMPRESSORS, zstd
from tests.kit.disks import qcow2_disk, raw_disk

GIB = 1024**3
QCOW2 = qcow2_disk(virtual_size=GIB)
RAW = raw_disk(1024 * 1024)
_NAME_AT = 512


@dataclass(frozen=True)
class Evil:
    """One image: what it is, the format that its Image declares, its bytes, and why it is refused."""

    what: str
    declared: str
    content: bytes
    reason: ImageReason
    compression: Compression | None = None


def corpus() -> Iterator[Evil]:
    """Yield all of them."""
    yield from _names_other_files()
    yield from _makes_no_sense()
    yield from _is_something_else()
    yield from _unpacks_to_harm()


def _names_other_files() -> Iterator[Evil]:
    unsafe = ImageReason.UNSAFE_IMAGE
    for name in (
        b"/etc/shadow",
        b"../../../../etc/shadow",
        b'json:{"driver":"file","filename":"/etc/shadow"}',
        b"nbd:unix:/run/secret.sock",
        b"http://169.254.169.254/latest/meta-data",
        b"",
    ):
        content = qcow2_disk(virtual_size=GIB, backing_offset=_NAME_AT, backing_size=len(name))
        yield Evil(f"qcow2 with the backing file {name!r}", "qcow2", put(content, _NAME_AT, name), unsafe)
    old = put(qcow2_disk(virtual_size=GIB, backing_offset=_NAME_AT, backing_size=11), 4, struct.pack(">I", 2))
    yield Evil("qcow2 of version 2 with a backing file", "qcow2", put(old, _NAME_AT, b"/etc/shadow"), unsafe)
    yield Evil("qcow2 with its data elsewhere", "qcow2", put(QCOW2, 72, struct.pack(">Q", 1 << 2)), unsafe)
    name = struct.pack(">II", 0x44415441, 11) + b"/etc/shadow".ljust(16, b"\0")
    yield Evil("qcow2 that names a data file", "qcow2", put(QCOW2, 104, name), unsafe)
    behind = struct.pack(">II", 0x6803F857, 8) + bytes(8) + name
    yield Evil("qcow2 that hides that name", "qcow2", put(QCOW2, 104, behind), unsafe)
    yield Evil("encrypted qcow2", "qcow2", put(QCOW2, 32, struct.pack(">I", 1)), unsafe)
    yield Evil("LUKS inside qcow2", "qcow2", put(QCOW2, 32, struct.pack(">I", 2)), unsafe)
    yield Evil("qcow2 with snapshots", "qcow2", put(QCOW2, 60, struct.pack(">IQ", 3, 65536)), unsafe)
    yield Evil("qcow2 of the future", "qcow2", put(QCOW2, 72, struct.pack(">Q", 1 << 60)), unsafe)


def _makes_no_sense() -> Iterator[Evil]:
    no_image, too_large = ImageReason.NOT_AN_IMAGE, ImageReason.TOO_LARGE
    yield Evil("qcow of version 1", "qcow2", put(QCOW2, 4, struct.pack(">I", 1)), no_image)
    yield Evil("qcow2 with a huge first table", "qcow2", put(QCOW2, 36, struct.pack(">I", 2**31)), no_image)
    yield Evil("qcow2 with no first table", "qcow2", put(QCOW2, 36, struct.pack(">I", 0)), no_image)
    yield Evil(
        "qcow2 with a table behind its end", "qcow2", put(QCOW2, 40, struct.pack(">Q", 2**40)), no_image
    )
    yield Evil(
        "qcow2 with a table between clusters", "qcow2", put(QCOW2, 40, struct.pack(">Q", 512)), no_image
    )
    yield Evil("qcow2 with endless counts", "qcow2", put(QCOW2, 56, struct.pack(">I", 2**31)), no_image)
    yield Evil("corrupt qcow2", "qcow2", put(QCOW2, 72, struct.pack(">Q", 1 << 1)), no_image)
    yield Evil("dirty qcow2", "qcow2", put(QCOW2, 72, struct.pack(">Q", 1)), no_image)
    yield Evil("qcow2 cut short", "qcow2", QCOW2[: 2 * 65536], no_image)
    ten_tib = qcow2_disk(virtual_size=10 * 1024**4)
    yield Evil("a disk of 10 TiB", "qcow2", ten_tib, too_large)
    yield Evil("a disk of all bytes there are", "qcow2", put(QCOW2, 24, struct.pack(">Q", 2**63)), too_large)
    yield Evil("a raw disk of half a sector", "raw", RAW[:-256], no_image)


def _is_something_else() -> Iterator[Evil]:
    other = ImageReason.FORMAT_MISMATCH
    yield Evil("raw that is qcow2", "raw", QCOW2 + RAW, other)
    disguised = put(put(RAW, 0, QCOW2[:104]), 510, b"\x55\xaa")
    yield Evil("raw with a qcow2 header that a guest wrote", "raw", disguised, other)
    descriptor = b'# Disk DescriptorFile\nversion=1\nRW 1 FLAT "/etc/shadow" 0\n'
    for what, magic in (
        ("a VMDK", b"KDMV\x01\0\0\0"),
        ("a VMDK that names a host's file", descriptor),
        ("a VHDX", b"vhdxfile"),
        ("a VHD", b"conectix"),
        ("a QED", b"QED\0"),
        ("LUKS", b"LUKS\xba\xbe\0\x01"),
        ("a zip archive", b"PK\x03\x04"),
    ):
        yield Evil(f"raw that is {what}", "raw", put(RAW, 0, magic), other)
    yield Evil("raw that is an ISO", "raw", put(RAW, 0x8001, b"CD001"), other)
    yield Evil("a gzip bomb", "raw", gzip.compress(bytes(64 * 1024**2)), other)
    yield Evil(
        "a gzip bomb that is called qcow2",
        "qcow2",
        gzip.compress(bytes(64 * 1024**2)),
        other,
    )
    yield Evil("a web page", "qcow2", b"<!DOCTYPE html>".ljust(4096), ImageReason.NOT_AN_IMAGE)
    yield Evil("nothing", "raw", b"", ImageReason.NOT_AN_IMAGE)


def _unpacks_to_harm() -> Iterator[Evil]:
    """Files that their Image declares as compressed: the first part of each bomb is a good disk."""
    for kind, compress in COMPRESSORS.items():
        zeros = compress(bytes(64 * 1024**2)) * 500
        yield Evil(f"{kind} bomb of 32 GiB", "raw", compress(RAW) + zeros, ImageReason.TOO_LARGE, kind)
        evil = compress(qcow2_disk(virtual_size=GIB, backing_offset=_NAME_AT, backing_size=11))
        yield Evil(f"{kind} with a backing file inside", "qcow2", evil, ImageReason.UNSAFE_IMAGE, kind)
        inner = compress(compress(RAW))
        yield Evil(f"{kind} in {kind}", "raw", inner, ImageReason.FORMAT_MISMATCH, kind)
        web_page = compress(b"<!DOCTYPE html>".ljust(4096))
        yield Evil(f"{kind} of a web page", "qcow2", web_page, ImageReason.NOT_AN_IMAGE, kind)
        yield Evil(f"{kind} of nothing", "raw", compress(b""), ImageReason.NOT_AN_IMAGE, kind)
        longer = compress(RAW) + b"#!/bin/sh\n"
        yield Evil(f"{kind} with a script behind it", "raw", longer, ImageReason.COMPRESSION_INVALID, kind)
        cut = compress(RAW)[:-4]
        yield Evil(f"{kind} cut short", "raw", cut, ImageReason.COMPRESSION_INVALID, kind)
    large_window = zstd.compress(bytes(300 * 1024**2), options={zstd.CompressionParameter.window_log: 28})
    yield Evil("zstd with a large window", "raw", large_window, ImageReason.TOO_LARGE, Compression.ZSTD)
    yield Evil("xz with a large dictionary", "raw", _greedy_xz(), ImageReason.TOO_LARGE, Compression.XZ)


def _greedy_xz() -> bytes:
    """Return an xz file whose header asks for a dictionary of 4 GiB (https://tukaani.org/xz/xz-file-format.txt, 3.1)."""
    content = lzma.compress(RAW)
    header = put(content[12:20], 4, bytes([40]))
    return put(content, 12, header + struct.pack("<I", zlib.crc32(header)))


def put(image: bytes, offset: int, content: bytes) -> bytes:
    """Return an image with other bytes at one place."""
    return image[:offset] + content + image[offset + len(content) :]
