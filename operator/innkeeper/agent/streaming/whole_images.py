"""Whole images of the host as places that chunks are copied from: opened for each chunk, so that they may be dropped."""

from pathlib import Path

import structlog

from innkeeper.agent.imaging.files import ImageFiles
from innkeeper.agent.streaming.chunk_index import ChunkIndex
from innkeeper.domain.images import manifest
from innkeeper.domain.images.manifest import Chunks, ManifestInvalidError

log = structlog.get_logger(__name__)


class WholeImage:
    """An image that lies here and its manifest."""

    def __init__(self, path: Path, chunks: Chunks) -> None:
        self.chunks = chunks
        self._path = path

    @property
    def is_there(self) -> bool:
        """Whether the agent has not dropped it."""
        return self._path.exists()

    def read(self, index: int) -> bytes | None:
        """Return a chunk, checked, or None where it is not what it was."""
        start, end = self.chunks.span(index)
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                content = file.read(end - start)
        except OSError:
            return None
        return content if self.chunks.matches(index, content) else None


def add_whole_images(index: ChunkIndex, files: ImageFiles) -> None:
    """Make known all whole images that have a manifest. Blocking."""
    for path in files.directory.glob("*.manifest"):
        whole = files.whole_of(path.stem)
        try:
            if whole.exists():
                chunks = manifest.read_any(path.read_bytes())
                index.add(path.stem, WholeImage(whole, chunks))
        except (OSError, ManifestInvalidError) as error:
            log.warning("manifest_unreadable", file=path.name, error=str(error))
