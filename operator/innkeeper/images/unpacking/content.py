"""What one pass over the content of a compressed image finds out while it is written to the store.

Takes pieces of any size and works on whole chunks, so that zeros become holes whatever the decoder's pieces look like.
"""

import hashlib
from dataclasses import dataclass

from innkeeper.domain.images import headers
from innkeeper.domain.images.headers import ImageHeader
from innkeeper.domain.images.manifest import CHUNK_BYTES, ManifestMaker
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.given_manifest import WrongContentError
from innkeeper.images.unpacking.partial import Partial


@dataclass(frozen=True)
class Found:
    """What the content is. `digest` is its SHA-256, `size` in bytes."""

    digest: str
    size: int
    header: ImageHeader


class Content:
    """The unpacked bytes, in order."""

    def __init__(self, file: Partial, *, declared: str, most: int) -> None:
        self._file = file
        self._declared = declared
        self._most = most
        self._hash = hashlib.sha256()
        self._head = b""
        self._begun = bytearray()
        self.maker = ManifestMaker()

    def take(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            WrongContentError: there are more than are allowed.
            ImageHeaderError: they begin like no safe image of the declared format.
            StoreError: the store cannot be written.
        """
        self._begun += piece
        if self._file.size + len(self._begun) > self._most:
            raise WrongContentError(
                f"the image unpacks to more than the {self._most} bytes that are allowed; use a smaller one",
                reason=ImageReason.TOO_LARGE,
            )
        whole = len(self._begun) - len(self._begun) % CHUNK_BYTES
        if whole:
            self._put(bytes(self._begun[:whole]))
            del self._begun[:whole]

    def result(self) -> Found:
        """Return what all of it is.

        Raises:
            ImageHeaderError: it is not the image that it should be.
            StoreError: the store cannot be written.
        """
        self._put(bytes(self._begun))
        self._begun.clear()
        size = self._file.size
        header = headers.parse(self._head, size=size, declared=self._declared)
        return Found(f"sha256:{self._hash.hexdigest()}", size, header)

    def _put(self, chunks: bytes) -> None:
        if not self._file.size and len(chunks) >= headers.HEAD_BYTES:
            # How long it is shows in the end only; everything else in the header is looked at now.
            head = chunks[: headers.HEAD_BYTES]
            headers.parse(head, size=headers.MAX_VIRTUAL_BYTES, declared=self._declared)
        self._head = self._head or chunks[: headers.HEAD_BYTES]
        self._hash.update(chunks)
        self.maker.take(chunks)
        self._file.write(chunks)
