"""From an Image's `spec.source` to the source itself: the one place that knows which kinds of source there are."""

from collections import OrderedDict
from pathlib import Path

import aiohttp
from yarl import URL

from innkeeper.clock import Clock, SystemClock
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.credentials import Credentials
from innkeeper.images.sources.credential import Credential, CredentialsError
from innkeeper.images.sources.deadlines import OriginDeadlines
from innkeeper.images.sources.directory import DirectoryFile
from innkeeper.images.sources.http import HttpFile
from innkeeper.images.sources.left_places import LeftPlaces
from innkeeper.images.sources.mirrored import Mirrored
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.sources.source import Source, SourceError
from innkeeper.views.catalog import ImageSource

MAX_MIRRORED = 10_000  # images of which is kept what their places gave lately


class SourceOpener:
    """Opens sources under the admin's settings."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        policy: OriginPolicy,
        directory: Path | None,
        credentials: Credentials,
        deadlines: OriginDeadlines | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._session = session
        self._policy = policy
        self._directory = directory
        self._credentials = credentials
        self._deadlines = deadlines
        self._clock = clock or SystemClock()
        self._left: OrderedDict[tuple[str, ...], LeftPlaces] = OrderedDict()

    async def open(self, source: ImageSource, *, namespace: str, for_hosts: bool = False) -> Source:
        """Return the source of an Image in a namespace, unread.

        For hosts, which ask chunk by chunk, places that gave nothing lately come last. Mirrors may name versions
        differently: who looks whether a source changed asks in the Image's order, so that no failure looks like a change.

        Raises:
            SourceError: it names none or several, or a kind that this server does not serve.
            CredentialsError: its Secret cannot be used, or is for another origin.
        """
        if (source.http is None) == (source.directory is None):
            raise _refused("spec.source needs exactly one of http and directory")
        if source.http is not None:
            urls = [source.http.url, *source.http.mirrors]
            credential = await self._credential(source, namespace)
            if credential and not any(_is_for(credential, url) for url in urls):
                raise CredentialsError(
                    f"{credential.secret} is not for the origin of {self._policy.shown(urls[0])}: its key `origin` "
                    "must name exactly that, or the Image another Secret"
                )
            files = [self._file(url, credential) for url in urls]
            if len(files) == 1:
                return files[0]
            return Mirrored(files, self._left_of(namespace, *urls) if for_hosts else None)
        if source.directory is not None and self._directory is not None:
            return DirectoryFile(self._directory, source.directory.path)
        raise _refused("this image server serves no directory; start it with --directory, or use source.http")

    async def open_beside(self, url: str, *, source: ImageSource, namespace: str) -> Source:
        """Return what lies at a URL and belongs to an image; the image's Secret counts where it is for that origin.

        Raises:
            CredentialsError: the Secret cannot be used.
        """
        return self._file(url, await self._credential(source, namespace))

    def _left_of(self, *image: str) -> LeftPlaces:
        """Return what is known of an image's places; of one that nobody asks for it is forgotten in the end."""
        left = self._left.pop(image, None) or LeftPlaces(len(image) - 1, self._clock)
        self._left[image] = left
        if len(self._left) > MAX_MIRRORED:
            self._left.popitem(last=False)
        return left

    def _file(self, url: str, credential: Credential | None) -> HttpFile:
        return HttpFile(
            self._session, url, policy=self._policy, credential=credential, deadlines=self._deadlines
        )

    async def _credential(self, source: ImageSource, namespace: str) -> Credential | None:
        if source.http is None or source.http.secret_ref is None:
            return None
        return await self._credentials.of(namespace, source.http.secret_ref.name)


def _is_for(credential: Credential, url: str) -> bool:
    try:
        return credential.is_for(URL(url))
    except ValueError:
        return False  # its own reader refuses it, and says so


def _refused(message: str) -> SourceError:
    return SourceError(message, reason=ImageReason.SOURCE_REFUSED, retryable=False)
