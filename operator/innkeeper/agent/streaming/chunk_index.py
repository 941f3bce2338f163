"""The chunks that lie on this host by their content: what another image has is copied, and not fetched again.

The store is the image files themselves; this knows which chunk lies where. Memory: 48 bytes for each chunk of an image.
What is found is checked again by who takes it.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from innkeeper.domain.images.manifest import Chunks


class Holder(Protocol):
    """A file with chunks."""

    @property
    def chunks(self) -> Chunks:
        """What it should hold."""
        ...

    @property
    def is_there(self) -> bool:
        """Whether the file is there; the agent drops images that nobody uses. Blocking."""
        ...

    def read(self, index: int) -> bytes | None:
        """Return a chunk that was checked, or None."""
        ...


class ChunkIndex:
    """Files by name, and their chunks by digest."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[Holder, NDArray[np.uint64], NDArray[np.intp]]] = {}

    def add(self, name: str, holder: Holder) -> None:
        """Make a file's chunks known, and forget the files that are gone. Blocking."""
        for known, (kept, _, _) in list(self._files.items()):
            if not kept.is_there:
                self.drop(known)
        prefixes = np.frombuffer(holder.chunks.digests, dtype=np.uint64)[::4]
        order = np.argsort(prefixes, kind="stable")
        self._files[name] = (holder, prefixes[order], order)

    def drop(self, name: str) -> None:
        """Forget a file."""
        self._files.pop(name, None)

    def find(self, wanted: bytes, *, besides: str) -> bytes | None:
        """Return the chunk with a SHA-256 from another file, or None. Blocking: it reads."""
        prefix = np.frombuffer(wanted[:8], dtype=np.uint64)[0]
        for name, (holder, prefixes, order) in list(self._files.items()):
            if name == besides:
                continue
            at = int(np.searchsorted(prefixes, prefix))
            while at < len(prefixes) and prefixes[at] == prefix:
                index = int(order[at])
                if holder.chunks.digest(index) == wanted and (content := holder.read(index)) is not None:
                    return content
                at += 1
        return None
