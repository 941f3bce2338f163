"""Places for streams: how many may be open at once, in all, of one namespace and of one image.

An origin that answers slowly or never holds the places of its image. So no image and no namespace gets all of them, and
the images of others are served meanwhile. Manifests, which need no origin, have places apart.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from innkeeper.images.contents import BusyError
from innkeeper.images.signing import BlobName


class Places:
    """`at_once` places: half of them for one namespace at most, a quarter for one image."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._taken: Counter[tuple[str, ...]] = Counter()

    @property
    def taken(self) -> int:
        """How many streams are open."""
        return self._taken[()]

    @contextmanager
    def place(self, blob: BlobName) -> Iterator[None]:
        """Hold a place for a stream of an image.

        Raises:
            BusyError: there is none.
        """
        shares = (
            ((), self._at_once, "streams"),
            ((blob.namespace,), max(1, self._at_once // 2), "streams of this namespace"),
            ((blob.namespace, blob.name), max(1, self._at_once // 4), "streams of this image"),
        )
        for key, most, what in shares:
            if self._taken[key] >= most:
                raise BusyError(f"{most} {what} are open; try again soon")
        keys = [key for key, _, _ in shares]
        self._taken.update(keys)
        try:
            yield
        finally:
            self._taken.subtract(keys)
            for key in keys[1:]:
                if not self._taken[key]:
                    del self._taken[key]
