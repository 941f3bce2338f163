"""When the certificates end that a process serves or trusts: read from their files, and told as a metric.

Files with several certificates (a chain, an old and a new authority) count by the one that ends first. A file that cannot
be read counts as ended long ago, so that it is noticed; why it cannot be read is told by who uses it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from prometheus_client import CollectorRegistry

from innkeeper.telemetry import families

MAX_BYTES = 256 * 1024
UNREADABLE = 0.0

_Seen = tuple[int, int, int]


def first_end(path: Path) -> float:
    """Return when the first certificate of a PEM file ends, as a Unix time; 0 where it cannot be read."""
    try:
        with path.open("rb") as file:
            found = x509.load_pem_x509_certificates(file.read(MAX_BYTES))
    except (OSError, ValueError):
        return UNREADABLE
    return min(each.not_valid_after_utc.timestamp() for each in found)


class _File:
    """A file that is read again when it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: _Seen | None = None
        self._end = UNREADABLE

    def end(self) -> float:
        """Return when its first certificate ends."""
        try:
            found = self._path.stat()
        except OSError:
            self._seen = None
            return UNREADABLE
        seen = (found.st_mtime_ns, found.st_ino, found.st_size)
        if seen != self._seen:
            self._seen, self._end = seen, first_end(self._path)
        return self._end


class CertificateMetrics:
    """The ends of one process's certificates, by what each is used for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._files: dict[str, _File] = {}
        families.CERTIFICATE_EXPIRY.read(registry).samples = self._samples

    def follows(self, use: str, path: Path | None) -> None:
        """Tell of a file that its user reads again when it changes; of none where there is no file."""
        if path is not None:
            self._files[use] = _File(path)

    def _samples(self) -> Iterator[tuple[Sequence[str], float]]:
        for use, file in self._files.items():
            yield (use,), file.end()
