"""How tests compress: one function for each format that images may lie compressed in."""

import gzip
import lzma
import sys
from collections.abc import Callable

from innkeeper.domain.images.compression import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSORS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.GZIP: gzip.compress,
    Compression.XZ: lzma.compress,
    Compression.ZSTD: zstd.compress,
}

__all__ = ["COMPRESSORS", "zstd"]
