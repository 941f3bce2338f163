"""From an Image's `spec.source` to the source itself: the one place that knows which kinds of source there are."""

from pathlib import Path

import aiohttp

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.sources.directory import DirectoryFile
from innkeeper.images.sources.http import HttpFile
from innkeeper.images.sources.mirrored import Mirrored
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.sources.source import Source, SourceError
from innkeeper.views.catalog import ImageSource


class SourceOpener:
    """Opens sources under the admin's settings."""

    def __init__(
        self, session: aiohttp.ClientSession, *, policy: OriginPolicy, directory: Path | None
    ) -> None:
        self._session = session
        self._policy = policy
        self._directory = directory

    def open(self, source: ImageSource) -> Source:
        """Return the source, unread.

        Raises:
            SourceError: it names none or several, or a kind that this server does not serve.
        """
        if (source.http is None) == (source.directory is None):
            raise _refused("spec.source needs exactly one of http and directory")
        if source.http is not None:
            urls = [source.http.url, *source.http.mirrors]
            files = [HttpFile(self._session, url, policy=self._policy) for url in urls]
            return files[0] if len(files) == 1 else Mirrored(files)
        if source.directory is not None and self._directory is not None:
            return DirectoryFile(self._directory, source.directory.path)
        raise _refused("this image server serves no directory; start it with --directory, or use source.http")


def _refused(message: str) -> SourceError:
    return SourceError(message, reason=ImageReason.SOURCE_REFUSED, retryable=False)
