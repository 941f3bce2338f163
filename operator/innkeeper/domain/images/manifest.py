"""The chunk manifest of an image: the SHA-256 of every chunk, so that any part can be checked by itself.

It is made in the one pass in which an image is inspected, and says which chunks hold nothing but zeros. It lies about
nothing that matters to who checks the whole digest in the end; who does not must have the manifest's own digest from
somewhere trusted. Pure: reads and writes nothing.
"""

import base64
import binascii
import hashlib

import msgspec

from innkeeper.errors import TerminalError

CHUNK_BYTES = 256 * 1024
MAX_BYTES = 64 * 1024**2  # of an encoded manifest: an image of 384 GiB
VERSION = 1

_DIGEST_BYTES = 32
_ENCODED_BYTES = 44  # of a chunk's digest in base64, rounded up
_BESIDE_BYTES = 1024  # of all that is not digests
_ZEROS = bytes(_DIGEST_BYTES)  # stands for a chunk of zeros: no chunk has this SHA-256
_SIZES = frozenset(1 << bit for bit in range(16, 23))  # 64 KiB to 4 MiB
SMALLEST_CHUNK_BYTES = min(_SIZES)


class ManifestInvalidError(TerminalError):
    """The manifest is none, or not that of the image."""

    reason = "ManifestInvalid"


class Manifest(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What is known of each chunk of an image. `chunks` is base64 of 32 bytes for each, zeros for a chunk of zeros."""

    version: int
    digest: str  # of the whole, as the Image declares it
    size: int  # bytes
    chunk_bytes: int
    chunks: str

    def encode(self) -> bytes:
        """Return the manifest as it is kept and sent; equal manifests give equal bytes."""
        return msgspec.json.encode(self, order="deterministic")


class Chunks:
    """A manifest that was read, ready to check bytes against."""

    def __init__(self, manifest: Manifest, digests: bytes) -> None:
        self.size = manifest.size
        self.chunk_bytes = manifest.chunk_bytes
        self.digests = digests  # 32 bytes for each chunk, in order

    def __len__(self) -> int:
        return len(self.digests) // _DIGEST_BYTES

    def span(self, index: int) -> tuple[int, int]:
        """Return where a chunk begins, and where the next one does."""
        start = index * self.chunk_bytes
        return start, min(start + self.chunk_bytes, self.size)

    def is_zero(self, index: int) -> bool:
        """Tell whether a chunk holds nothing but zeros."""
        return self.digest(index) == _ZEROS

    def is_zero_run(self, first: int, behind: int) -> bool:
        """Tell whether a run of chunks holds nothing but zeros."""
        return not any(self.digests[first * _DIGEST_BYTES : behind * _DIGEST_BYTES])

    def matches(self, index: int, content: bytes) -> bool:
        """Tell whether these are the bytes of a chunk."""
        start, end = self.span(index)
        if len(content) != end - start:
            return False
        if self.is_zero(index):
            return content == bytes(len(content))  # many times faster than looking at each byte
        return hashlib.sha256(content).digest() == self.digest(index)

    def digest(self, index: int) -> bytes:
        """Return the SHA-256 of a chunk; zeros for a chunk of zeros."""
        return self.digests[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES]


class ManifestMaker:
    """Makes a manifest of bytes that come in order, in pieces of any size."""

    def __init__(self, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._chunk_bytes = chunk_bytes
        self._zeros = bytes(chunk_bytes)
        self._begun = bytearray()
        self._digests = bytearray()
        self._size = 0

    def take(self, content: bytes) -> None:
        """Take the next bytes."""
        self._size += len(content)
        self._begun += content
        whole = len(self._begun) - len(self._begun) % self._chunk_bytes
        for start in range(0, whole, self._chunk_bytes):
            self._add(bytes(self._begun[start : start + self._chunk_bytes]))
        del self._begun[:whole]

    def manifest(self, digest: str) -> Manifest:
        """Return the manifest of all bytes so far; `digest` is that of the whole."""
        if self._begun:
            self._add(bytes(self._begun))
            self._begun.clear()
        return Manifest(
            version=VERSION,
            digest=digest,
            size=self._size,
            chunk_bytes=self._chunk_bytes,
            chunks=base64.b64encode(self._digests).decode(),
        )

    def _add(self, chunk: bytes) -> None:
        is_zero = chunk == self._zeros[: len(chunk)]  # many times faster than looking at each byte
        self._digests += _ZEROS if is_zero else hashlib.sha256(chunk).digest()


def most_bytes(size: int, *, chunk_bytes: int = SMALLEST_CHUNK_BYTES) -> int:
    """Return how long the encoded manifest of an image of `size` bytes may be: what is longer is padding."""
    return min(MAX_BYTES, -(-size // chunk_bytes) * _ENCODED_BYTES + _BESIDE_BYTES)


def read(encoded: bytes, *, digest: str, size: int) -> Chunks:
    """Return the manifest of an image that is known by digest and size.

    Raises:
        ManifestInvalidError: it is none, or that of another image.
    """
    found = _decode(encoded)
    if (found.digest, found.size) != (digest, size):
        raise ManifestInvalidError("the manifest is that of another image")
    return _chunks(found)


def read_any(encoded: bytes) -> Chunks:
    """Return the manifest of whatever image it says.

    Raises:
        ManifestInvalidError: it is none.
    """
    return _chunks(_decode(encoded))


def _decode(encoded: bytes) -> Manifest:
    if len(encoded) > MAX_BYTES:
        raise ManifestInvalidError(f"the manifest is longer than {MAX_BYTES} bytes")
    try:
        found = msgspec.json.decode(encoded, type=Manifest)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ManifestInvalidError(f"the manifest cannot be read: {error}") from error
    if found.version != VERSION or found.chunk_bytes not in _SIZES or found.size < 0:
        raise ManifestInvalidError("the manifest is of a form that is not known")
    if len(encoded) > (most := most_bytes(found.size, chunk_bytes=found.chunk_bytes)):
        raise ManifestInvalidError(f"the manifest is longer than the {most} bytes that its chunks need")
    return found


def _chunks(found: Manifest) -> Chunks:
    try:
        digests = base64.b64decode(found.chunks, validate=True)
    except (UnicodeError, binascii.Error) as error:
        raise ManifestInvalidError(f"the manifest cannot be read: {error}") from error
    if len(digests) != -(-found.size // found.chunk_bytes) * _DIGEST_BYTES:
        raise ManifestInvalidError("the manifest has not one digest for each chunk")
    return Chunks(found, digests)
