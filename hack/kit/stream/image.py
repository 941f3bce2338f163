"""An image of the bench: its bytes, its manifest, and what an order would say of it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from innkeeper.agent.imaging.files import stream_name
from innkeeper.domain.images.manifest import ManifestMaker, read
from innkeeper.domain.orders import OrderImage

PIECE = 1024**2
MIB = 1024**2


@dataclass(frozen=True)
class BenchImage:
    """A raw image and its manifest, both as files."""

    path: Path
    manifest: Path
    digest: str
    manifest_digest: str
    full_bytes: int  # of chunks that are not zeros

    @property
    def name(self) -> str:
        """What a host calls its stream."""
        return stream_name(self.ordered_from(""))

    def ordered_from(self, origin: str) -> OrderImage:
        """Return the image as an order names it."""
        size = self.path.stat().st_size
        return OrderImage(
            namespace="bench",
            name="debian",
            url=f"{origin}/v1/images/bench/debian",
            digest=self.digest,
            format="raw",
            size=size,
            virtual_size=size,
            manifest_digest=self.manifest_digest,
        )


def understood(path: Path, *, manifest: Path) -> BenchImage:
    """Read an image once and write its manifest."""
    maker, hashed = ManifestMaker(), hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            maker.take(piece)
            hashed.update(piece)
    digest = f"sha256:{hashed.hexdigest()}"
    encoded = maker.manifest(digest).encode()
    manifest.write_bytes(encoded)
    chunks = read(encoded, digest=digest, size=path.stat().st_size)
    spans = [chunks.span(index) for index in range(len(chunks)) if not chunks.is_zero(index)]
    return BenchImage(
        path=path,
        manifest=manifest,
        digest=digest,
        manifest_digest=f"sha256:{hashlib.sha256(encoded).hexdigest()}",
        full_bytes=sum(end - start for start, end in spans),
    )


def dense(like: Path, path: Path, *, mib: int) -> None:
    """Write an image without zeros, with another one's head."""
    with like.open("rb") as head, path.open("wb") as file:
        file.write(head.read(PIECE))
        for _ in range(mib - 1):
            file.write(os.urandom(PIECE))
