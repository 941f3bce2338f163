"""Decoders of gzip, xz and zstd for bytes that nobody vouches for.

What comes out comes in pieces of at most `PIECE_BYTES`, however little goes in, so whoever takes them may stop at any
limit. The memory of a decoder is bounded by `MEMORY_BYTES`. Concatenated members are one content; anything else behind
the end, or an end that is missing, is an error. Reads and writes no file.
"""

import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from innkeeper.domain.images import compression
from innkeeper.domain.images.compression import Compression
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.given_manifest import WrongContentError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 1024 * 1024
_WINDOW_LOG = 27  # 128 MiB: as far as `zstd -d` goes by itself, and twice what `xz -9` needs
MEMORY_BYTES = 1 << _WINDOW_LOG

# Each member that ends copies the rest of the input: small parts keep a file of a million tiny members cheap.
_INPUT_BYTES = 16 * 1024
_XZ_PADDING = 4  # between and behind streams zeros are legal, in groups of so many

_REFUSALS = (zlib.error, lzma.LZMAError, zstd.ZstdError)
_NEEDS_MEMORY = ("Memory usage limit", "too much memory")  # the libraries say it in words only


class Member(Protocol):
    """One member: a gzip member, an xz stream or a zstd frame. The interface of the standard library's decompressors."""

    @property
    def eof(self) -> bool:
        """Whether its end was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before something goes in."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was given beyond its end."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take `data` and return at most `max_length` bytes of the content."""
        ...


class Decoder:
    """Unpacks one file that is given in order, in parts of any size."""

    def __init__(self, declared: Compression) -> None:
        self._declared = declared
        self._make: Callable[[], Member] = _MEMBERS[declared]
        self._head: bytes | None = b""  # None once it was looked at
        self._member: Member | None = None
        self._ended = 0  # members so far
        self._padding = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes unpack to; take all of it before the next bytes are given.

        Raises:
            WrongContentError: they are not of the declared format, are damaged, or need too much memory.
        """
        if self._head is not None:
            self._head += data
            if len(self._head) < compression.HEAD_BYTES:
                return
            data = self._looked_at(self._head)
        for start in range(0, len(data), _INPUT_BYTES):
            yield from self._unpack(data[start : start + _INPUT_BYTES])

    def finish(self) -> None:
        """Say that no bytes are left.

        Raises:
            WrongContentError: the content does not end here.
        """
        if self._head is not None:
            self._looked_at(self._head)
        if self._member is not None or not self._ended or self._padding % _XZ_PADDING:
            raise self._invalid("end in the middle: was the file copied whole?")

    def _looked_at(self, head: bytes) -> bytes:
        found = compression.found_in(head)
        if found != self._declared:
            is_what = f"compressed with {found.tool}" if found else "not compressed in a way that is known"
            advice = (
                f"set spec.compression: {found} in a new Image" if found else "create an Image without it"
            )
            raise WrongContentError(
                f"spec.compression is {self._declared}, and the file is {is_what}: mend the source, or {advice}",
                reason=ImageReason.FORMAT_MISMATCH,
            )
        self._head = None
        return head

    def _unpack(self, rest: bytes) -> Iterator[bytes]:
        while True:
            if self._member is None:
                rest = self._without_padding(rest)
                if not rest:
                    return
            is_begun = self._member is not None
            member = self._member = self._member or self._make()
            try:
                piece = member.decompress(rest, PIECE_BYTES)
            except _REFUSALS as error:
                raise self._refusal(error, is_begun=is_begun) from error
            rest = b""
            if piece:
                yield piece
            if member.eof:
                rest, self._member = member.unused_data, None
                self._ended += 1
            elif member.needs_input:
                return

    def _without_padding(self, rest: bytes) -> bytes:
        if self._declared != Compression.XZ or not self._ended:
            return rest
        content = rest.lstrip(b"\0")
        self._padding += len(rest) - len(content)
        if content and self._padding % _XZ_PADDING:
            raise self._invalid("are followed by something else: make the file anew")
        return content

    def _refusal(self, error: Exception, *, is_begun: bool) -> WrongContentError:
        if any(words in str(error) for words in _NEEDS_MEMORY):
            return WrongContentError(
                f"unpacking needs more than {MEMORY_BYTES >> 20} MiB of memory: "
                f"compress the image with a smaller dictionary, as `{self._declared.tool} -9` does",
                reason=ImageReason.TOO_LARGE,
            )
        if self._ended and not is_begun:
            return self._invalid("are followed by something else: make the file anew")
        return self._invalid(f"are damaged ({error}): make the file anew")

    def _invalid(self, what: str) -> WrongContentError:
        return WrongContentError(
            f"the bytes that {self._declared.tool} made {what}", reason=ImageReason.COMPRESSION_INVALID
        )


class _GzipMember:
    """zlib's decompressor under the interface of the others."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # a gzip header, and its checksum
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)
        # A full piece may be followed by more of the same input.
        self.needs_input = not self._inflater.unconsumed_tail and len(piece) < max_length
        return piece


def _xz_stream() -> Member:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_BYTES)


def _zstd_frame() -> Member:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})


_MEMBERS: dict[Compression, Callable[[], Member]] = {
    Compression.GZIP: _GzipMember,
    Compression.XZ: _xz_stream,
    Compression.ZSTD: _zstd_frame,
}
