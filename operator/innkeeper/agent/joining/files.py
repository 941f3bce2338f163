"""Writes a host's join file and its token: for root alone, all at once, and lasting.

Who reads sees the old content or the new one, whole. A file is never written through a link that lies at its place.
"""

import os
import tempfile
from pathlib import Path

from innkeeper import whole_files
from innkeeper.agent.join_file import JoinFile
from innkeeper.errors import InnkeeperError


class NotWrittenError(InnkeeperError):
    """A file of the host's identity cannot be written."""

    reason = "NotWritten"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, and make its directory where there is none.

    Raises:
        NotWrittenError: it cannot be written.
    """
    try:
        _make_directory(path.parent)
        _replace(path, text.encode())
    except OSError as error:
        raise NotWrittenError(f"{path} cannot be written: {error.strerror or error}") from error


def write_join_file(path: Path, join: JoinFile) -> None:
    """Write a join file.

    Raises:
        NotWrittenError: it cannot be written.
    """
    write_private(path, join.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n")


def _make_directory(path: Path) -> None:
    """Make a directory for root alone; what is made above it may be passed through, as QEMU does to disks there."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(0o700 if each == path else 0o711)  # whatever the umask is


def _replace(path: Path, content: bytes) -> None:
    # mkstemp makes it with mode 0600, under a name that nobody else has.
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    new = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    whole_files.sync(path.parent)
