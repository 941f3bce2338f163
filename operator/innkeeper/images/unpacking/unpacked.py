"""An image that lies compressed at its source: read once, unpacked into the store in the same pass, under limits.

The file takes its name only when the digest of the compressed bytes is the declared one and the content is the image that
the Image says. A limit that is reached ends the pass at once, and nothing stays on the disk.
"""

from collections.abc import Callable, Iterator
from contextlib import aclosing

from innkeeper.domain.images.compression import Compression
from innkeeper.domain.images.digests import Digest
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.answers import InspectRequest, Ready
from innkeeper.images.given_manifest import WrongContentError
from innkeeper.images.manifests import Manifests
from innkeeper.images.sources.source import Source, SourceChangedError, SourceError, SourceInfo
from innkeeper.images.unpacking.content import Content, Found
from innkeeper.images.unpacking.decoder import Decoder
from innkeeper.images.unpacking.partial import Partial
from innkeeper.images.unpacking.store import Store
from innkeeper.to_its_end import in_thread

_STEP_PIECES = 16  # of at most 1 MiB: a thread is busy for no longer, and the store looks at its room


class Unpacker:
    """Unpacks images into a store; without one it refuses them."""

    def __init__(self, store: Store | None, manifests: Manifests) -> None:
        self._store = store
        self._manifests = manifests

    async def inspected(
        self,
        request: InspectRequest,
        source: Source,
        info: SourceInfo,
        *,
        most: int,
        told: Callable[[int], None],
    ) -> Ready:
        """Return what the image is, once its content lies in the store; `told` hears how many bytes were read.

        Raises:
            WrongContentError: the bytes are not those of the Image, or unpack to more than `most` bytes or to no image.
            StoreError: the store takes no file now.
            SourceError: the source cannot be read.
        """
        declared, store = _declared(request), self._usable()
        file = await store.begin()
        try:
            unpacking = _Unpacking(request, Decoder(declared), file, most=most)
            async with aclosing(source.read(0, info.size)) as chunks:
                async for chunk in chunks:
                    pieces = unpacking.pieces(chunk)
                    while await in_thread(unpacking.step, pieces):
                        await store.make_room(file)
                    await store.make_room(file)
                    told(unpacking.done)
            found = await in_thread(unpacking.result, info)
            await store.make_room(file)
            await store.keep(file, found.digest)
        finally:
            await store.drop(file)
        manifest = await in_thread(unpacking.content.maker.manifest, found.digest)
        return Ready(
            format=found.header.format,
            size=found.size,
            virtual_size=found.header.virtual_size,
            digest=request.digest,
            content_digest=found.digest,
            source_version=info.version,
            manifest_digest=await self._manifests.keep(manifest),
        )

    def _usable(self) -> Store:
        if self._store is None:
            raise _refused(
                "this image server unpacks no images: start it with --store-directory, or unpack the file at its source"
            )
        return self._store


class _Unpacking:
    """One pass: compressed bytes go in, in order; the content goes where it is looked at and kept."""

    def __init__(self, request: InspectRequest, decoder: Decoder, file: Partial, *, most: int) -> None:
        self._declared = Digest.parse(request.digest)
        self._hash = self._declared.new_hash()
        self._decoder = decoder
        self.content = Content(file, declared=request.format, most=most)
        self.done = 0

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the next bytes unpack to, as it is asked for."""
        self._hash.update(chunk)
        self.done += len(chunk)
        yield from self._decoder.feed(chunk)

    def step(self, pieces: Iterator[bytes]) -> bool:
        """Take some of the pieces; tell whether there may be more."""
        for _ in range(_STEP_PIECES):
            piece = next(pieces, None)
            if piece is None:
                return False
            self.content.take(piece)
        return True

    def result(self, info: SourceInfo) -> Found:
        """Return what the content is.

        Raises:
            SourceChangedError: the source ended too early.
            InnkeeperError: the bytes, or the content, are not what the Image says.
        """
        if self.done != info.size:
            raise SourceChangedError(f"the source gave {self.done} bytes and promised {info.size}")
        if mismatch := self._declared.mismatch(self._declared.found_by(self._hash)):
            raise WrongContentError(
                f"{mismatch}; the digest of a compressed image is that of the file as it lies at the source",
                reason=ImageReason.DIGEST_MISMATCH,
            )
        self._decoder.finish()
        return self.content.result()


def _declared(request: InspectRequest) -> Compression:
    if request.manifest is not None:
        raise _refused("a compressed image is not read in parts: leave spec.manifest out")
    found = next((each for each in Compression if each == request.compression), None)
    if found is None:
        raise _refused(f"spec.compression knows no {request.compression!r}: use Gzip, Xz or Zstd")
    return found


def _refused(message: str) -> SourceError:
    return SourceError(message, reason=ImageReason.SOURCE_REFUSED, retryable=False)
