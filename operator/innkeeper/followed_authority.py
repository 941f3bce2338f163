"""Whom a client trusts as its server's authority: read again when the file changes, so nobody restarts the client.

A context is never changed, since an authority that was loaded once cannot be taken out of it: a changed file makes a new
one, for the connections from then on. A file that cannot be used for a while leaves the last one in use.
"""

import ssl
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_Seen = tuple[int, int, int]


class FollowedAuthority:
    """The context for connections to a server; without a file it trusts whom the system trusts."""

    def __init__(self, path: Path | None) -> None:
        """Read the file.

        Raises:
            OSError: it cannot be read, or holds no certificate (`ssl.SSLError`).
        """
        self._path = path
        self._seen = None if path is None else _look(path)
        self._context = _made(path)
        self._told = ""

    @property
    def context(self) -> ssl.SSLContext:
        """How to connect, as the file says by now; each connection asks anew."""
        if self._path is not None:
            self._refresh(self._path)
        return self._context

    def _refresh(self, path: Path) -> None:
        try:
            seen = _look(path)
            if seen == self._seen:
                return
            self._context = _made(path)
        except OSError as error:
            if self._told != str(error):
                self._told = str(error)
                log.warning("authority_not_read", file=str(path), message=str(error))
            return
        self._seen, self._told = seen, ""
        log.info("authority_read", file=str(path))


def _look(path: Path) -> _Seen:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size


def _made(path: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=None if path is None else str(path))
