"""What one pass over the bytes of an image finds out: digest, header, and the manifest on the way.

It is fed chunk by chunk and reads nothing itself.
"""

from innkeeper.domain.images import headers
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.images.manifest import ManifestMaker
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.answers import InspectRequest, Ready
from innkeeper.images.given_manifest import WrongContentError
from innkeeper.images.sources.source import SourceChangedError, SourceInfo


class Reading:
    """One pass. With `to_the_end`, a header that is wrong does not end it: the digest is found out in any case."""

    def __init__(self, request: InspectRequest, info: SourceInfo, *, to_the_end: bool) -> None:
        self._request = request
        self._info = info
        self._to_the_end = to_the_end
        self._declared = Digest.parse(request.digest)
        self._hash = self._declared.new_hash()
        self._head = bytearray()
        self._header: headers.ImageHeader | None = None
        self.maker = ManifestMaker()
        self.done = 0

    def take(self, chunk: bytes) -> None:
        """Take the next bytes; look at the header once it is whole, so that a wrong file fails at once.

        Raises:
            ImageHeaderError: the image is not what it should be.
        """
        self._hash.update(chunk)
        self.maker.take(chunk)
        self.done += len(chunk)
        missing = headers.HEAD_BYTES - len(self._head)
        if self._header is None and missing > 0:
            self._head += chunk
            if not self._to_the_end and len(self._head) >= min(headers.HEAD_BYTES, self._info.size):
                self._parse()

    def result(self) -> Ready:
        """Return what the image is.

        Raises:
            SourceChangedError: the source gave less than it promised.
            WrongContentError: the bytes have another digest.
            ImageHeaderError: the image is not what it should be.
        """
        if self.done != self._info.size:
            raise SourceChangedError(f"the source gave {self.done} bytes and promised {self._info.size}")
        digest = self._declared.found_by(self._hash)
        if mismatch := self._declared.mismatch(digest):
            raise WrongContentError(
                f"{mismatch}; mend the source, or create another Image with the right digest",
                reason=ImageReason.DIGEST_MISMATCH,
            )
        header = self._header or self._parse()
        return Ready(
            format=header.format,
            size=self.done,
            virtual_size=header.virtual_size,
            digest=str(digest),
            source_version=self._info.version,
        )

    def _parse(self) -> headers.ImageHeader:
        self._header = headers.parse(bytes(self._head), size=self._info.size, declared=self._request.format)
        return self._header
