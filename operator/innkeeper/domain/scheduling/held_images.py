"""Which images hosts hold, and how much of each: by image, the rows that have some of it.

Most images lie on few hosts, so nothing is kept for a row that has none of an image.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from innkeeper.domain.scheduling.columns import RowNumbers

Shares = NDArray[np.float64]


class HeldImages:
    """Percent by image and row."""

    def __init__(self) -> None:
        self._by_image: dict[str, dict[int, int]] = {}
        self._by_row: dict[int, Mapping[str, int]] = {}
        self._arrays: dict[str, tuple[RowNumbers, Shares]] = {}  # made when they are asked for

    def put(self, row: int, images: Mapping[str, int]) -> bool:
        """Note what a row has; tell whether that is news."""
        before = self._by_row.get(row, {})
        if before == images:
            return False
        for image in before.keys() - images.keys():
            self._by_image[image].pop(row, None)
            if not self._by_image[image]:
                del self._by_image[image]
        for image, percent in images.items():
            self._by_image.setdefault(image, {})[row] = percent
        if images:
            self._by_row[row] = dict(images)
        else:
            self._by_row.pop(row, None)
        for image in before.keys() | images.keys():
            self._arrays.pop(image, None)
        return True

    def is_anywhere(self, image: str) -> bool:
        """Tell whether any row has some of an image."""
        return image in self._by_image

    def shares(self, image: str, numbers: range | RowNumbers) -> Shares:
        """Return how much of an image each row has, in percent."""
        found: Shares = np.zeros(len(numbers))
        rows, shares = self._holders(image)
        if isinstance(numbers, range):
            inside = (rows >= numbers.start) & (rows < numbers.stop)
            found[rows[inside] - numbers.start] = shares[inside]
        elif rows.size:
            # The numbers come in any order; only the holders are sorted.
            at = np.minimum(np.searchsorted(rows, numbers), rows.size - 1)
            inside = rows[at] == numbers
            found[inside] = shares[at[inside]]
        return found

    def _holders(self, image: str) -> tuple[RowNumbers, Shares]:
        if image not in self._arrays:
            held = sorted(self._by_image.get(image, {}).items())
            rows = np.array([row for row, _ in held], dtype=np.intp)
            self._arrays[image] = (rows, np.array([percent for _, percent in held], dtype=np.float64))
        return self._arrays[image]
