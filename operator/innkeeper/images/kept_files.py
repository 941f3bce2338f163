"""A directory of small files that can all be made again: at most so many bytes, and what was longest not used goes first.

Replicas may share it, so nothing is remembered of what lies there: it is looked at before each file that comes. Other
files in the directory are left alone. All of it blocks.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import structlog

from innkeeper import whole_files

log = structlog.get_logger(__name__)

MAX_BYTES = 1024**3  # manifests of about 6 TiB of images
_OURS = re.compile(r"[0-9a-f]{64}([0-9a-f]{64})?\..+")  # begins with an image's digest
_BLOCK_BYTES = 512  # the unit of st_blocks


@dataclass(frozen=True, order=True)
class _Lying:
    """One file: when it was used, in nanoseconds since the epoch, and its bytes on the disk."""

    used_at: int
    path: str
    allocated: int


class KeptFiles:
    """Files whose names begin with the digest of an image."""

    def __init__(self, directory: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._directory = directory
        self._max_bytes = max_bytes

    def put(self, name: str, content: bytes) -> None:
        """Keep a file, and remove others where there is no room for all.

        Raises:
            OSError: it cannot be written.
        """
        self._make_room(len(content))
        whole_files.put(self._directory / name, content)

    def open(self, name: str) -> FileIO:
        """Return a file, open at its beginning; this is a use of it.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        file = FileIO(os.open(self._directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        with suppress(OSError):  # only the order in which files go
            os.utime(file.fileno())
        return file

    def _make_room(self, coming: int) -> None:
        lying = sorted(self._lying())
        over = sum(each.allocated for each in lying) + coming - self._max_bytes
        for each in lying:
            if over <= 0:
                return
            Path(each.path).unlink(missing_ok=True)
            over -= each.allocated
            log.info("kept_file_removed", path=each.path, bytes=each.allocated)

    def _lying(self) -> Iterator[_Lying]:
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if not _OURS.fullmatch(entry.name):
                    continue
                with suppress(FileNotFoundError):  # another replica removed it
                    found = entry.stat(follow_symlinks=False)
                    yield _Lying(found.st_mtime_ns, entry.path, found.st_blocks * _BLOCK_BYTES)
