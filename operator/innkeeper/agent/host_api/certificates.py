"""The host API's TLS: 1.3 only, a caller must show a certificate, and the files may change at any time.

A context is never changed, since an authority that was loaded once cannot be taken out of it: changed files make a new
one, for the connections from then on. Which name a caller must have is not decided here.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from innkeeper.errors import InnkeeperError

_Seen = tuple[tuple[int, int, int], ...]


class CertificateUnusableError(InnkeeperError):
    """The certificate, its key or the authority cannot be read; a rotation may be half done."""

    reason = "CertificateUnusable"


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """PEM files: the agent's own certificate with its chain, its key, and the authority of callers."""

    certificate: Path
    key: Path
    authority: Path


class ServerTls:
    """The server's context, made from files."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen: _Seen | None = None
        self._context: ssl.SSLContext | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """The context for a new connection; `refresh` must have been called once."""
        assert self._context is not None, "no certificate was read"  # noqa: S101 - misuse by our own code
        return self._context

    def refresh(self) -> bool:
        """Read the files again if they changed; return whether they did.

        Raises:
            CertificateUnusableError: what is there cannot be used; the context stays as it was.
        """
        try:
            seen = self._look()
            if seen == self._seen:
                return False
            self._context = self._made()
        except OSError as error:  # ssl.SSLError is one
            files = self._files
            raise CertificateUnusableError(
                f"{files.certificate}, {files.key} and {files.authority} cannot be used together: {error}"
            ) from error
        self._seen = seen
        return True

    def _look(self) -> _Seen:
        files = self._files
        found = [each.stat() for each in (files.certificate, files.key, files.authority)]
        return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in found)

    def _made(self) -> ssl.SSLContext:
        files = self._files
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.authority))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0  # a session that is taken up again would skip the check of its certificate
        # A key with a password fails here, where it would otherwise be asked for on the terminal.
        context.load_cert_chain(files.certificate, files.key, password="")
        return context
