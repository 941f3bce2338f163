"""Files that are there whole or not at all, and that survive a power cut.

Content goes into a file beside the place, onto the disk, and then takes its name in one step. It never writes through a
link, at the place or beside it. All of it blocks.
"""

import contextlib
import os
from pathlib import Path


def put(path: Path, content: bytes, *, partial: Path | None = None, mode: int = 0o600) -> None:
    """Put bytes into a file: after a crash there is the file of before, or this one.

    `partial` is where they lie until then, in a directory of the same file system; by default beside the file.

    Raises:
        OSError: the file cannot be written.
    """
    partial = partial or path.with_name(f"{path.name}.new")
    partial.unlink(missing_ok=True)  # of a process that was killed
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask is
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        rename(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def rename(partial: Path, path: Path) -> None:
    """Give a file that is on the disk its name, for good.

    Raises:
        OSError: the file system refuses.
    """
    partial.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file or a directory on the disk.

    Raises:
        OSError: the disk refuses.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
