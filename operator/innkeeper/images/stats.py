"""Sizes and versions of sources, kept for seconds: a host that asks chunk by chunk costs the origin one request for each.

A source that changes meanwhile does no harm: whoever reads checks what it gets.
"""

from collections import OrderedDict

from innkeeper.clock import Clock
from innkeeper.images.signing import BlobName
from innkeeper.images.sources.source import Source, SourceInfo

KEEP_S = 10.0
MAX_KEPT = 10_000


class Stats:
    """What sources said of themselves lately."""

    def __init__(self, clock: Clock, *, keep_s: float = KEEP_S) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._kept: OrderedDict[BlobName, tuple[SourceInfo, float]] = OrderedDict()

    async def of(self, blob: BlobName, source: Source) -> SourceInfo:
        """Return size and version of an image's source.

        Raises:
            SourceError: it cannot be read.
        """
        kept = self._kept.get(blob)
        if kept is not None and kept[1] > self._clock.monotonic():
            return kept[0]
        self._kept.pop(blob, None)
        info = await source.stat()
        self._kept[blob] = (info, self._clock.monotonic() + self._keep_s)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return info
