"""How an image may be compressed at its source, and how such bytes begin.

An Image declares it; the first bytes only prove or disprove the declaration, and make a message helpful. Unpacks nothing.
The formats: RFC 1952 (gzip), https://tukaani.org/xz/xz-file-format.txt, RFC 8878 (zstd).
"""

from enum import StrEnum

HEAD_BYTES = 6  # the longest beginning


class Compression(StrEnum):
    """The formats that are unpacked, as `spec.compression` names them."""

    GZIP = "Gzip"
    XZ = "Xz"
    ZSTD = "Zstd"

    @property
    def tool(self) -> str:
        """The program that people know the format by."""
        return self.value.lower()


_BEGINNINGS = (
    (b"\x1f\x8b", Compression.GZIP),
    (b"\xfd7zXZ\0", Compression.XZ),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
)
_SKIPPABLE, _SKIPPABLE_KINDS = b"\x2a\x4d\x18", range(0x50, 0x60)  # frames of zstd that hold no content


def found_in(head: bytes) -> Compression | None:
    """Return the compression of a file that begins with `head` (`HEAD_BYTES`, or the whole), or None."""
    if head[1:4] == _SKIPPABLE and head[0] in _SKIPPABLE_KINDS:
        return Compression.ZSTD
    return next((found for magic, found in _BEGINNINGS if head.startswith(magic)), None)
