"""Images behind an HTTP URL.

The URL comes from a user, so the server does not let itself be sent anywhere: https only (http for hosts that
the admin listed), no addresses of the machine itself or of its link, each redirect checked like the first URL,
and a deadline on every answer and a least rate for what follows. A credential is sent only to the origin that it is for.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from typing import ClassVar

import aiohttp
from yarl import URL

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.sources.credential import Credential, CredentialsError
from innkeeper.images.sources.deadlines import OriginDeadlines, TooSlowError, steady
from innkeeper.images.sources.origins import MAX_REDIRECT, OriginPolicy
from innkeeper.images.sources.source import SourceChangedError, SourceError, SourceInfo

MAX_REDIRECTS = 5
CONNECTIONS = (
    320  # more than streams may be open by default: an origin that is silent must not use up those of others
)
CONNECTIONS_PER_HOST = 16
_REDIRECTS = {301, 302, 303, 307, 308}
_GONE = {404, 410}
_REFUSED = {401, 403}
_CONTENT_RANGE = re.compile(r"bytes (\d{1,20})-(\d{1,20})/(\d{1,20})")
_HEADERS = {"Accept-Encoding": "identity"}  # a compressed answer would have other offsets than the image


class HttpFile:
    """One URL."""

    kind: ClassVar[str] = "http"

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        policy: OriginPolicy,
        credential: Credential | None = None,
        deadlines: OriginDeadlines | None = None,
    ) -> None:
        self._session = session
        self._url = url
        self._policy = policy
        self._credential = credential
        self._deadlines = deadlines or OriginDeadlines()

    async def stat(self) -> SourceInfo:
        """Return size and version by asking for one byte: signed URLs often refuse HEAD."""
        async with self._get(0, 1) as answer:
            etag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            has_ranges = answer.status == 206  # noqa: PLR2004 - HTTP's "Partial Content"
            return SourceInfo(self._size(answer), etag[:200], has_ranges=has_ranges)

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield the range; from an origin without ranges, what lies before it is read and dropped."""
        position = start
        async with self._get(start, end) as answer:
            skip = start if answer.status == 200 else 0  # noqa: PLR2004 - 200 is HTTP's own name for "the whole"
            try:
                async with aclosing(steady(answer.content, self._deadlines)) as chunks:
                    async for chunk in chunks:
                        part = chunk[skip:]
                        skip -= min(skip, len(chunk))
                        part = part[: end - position]
                        if part:
                            position += len(part)
                            yield part
                        if position >= end:
                            return
            except (aiohttp.ClientError, TimeoutError) as error:
                raise SourceError(f"{self._where()} stopped sending: {_cause(error)}") from error
        if position < end:
            raise SourceChangedError(f"{self._where()} ended after {position} bytes; {end} were promised")

    @asynccontextmanager
    async def _get(self, start: int, end: int) -> AsyncIterator[aiohttp.ClientResponse]:
        """Answer with the range, or the whole where the origin knows no ranges."""
        within_s = self._deadlines.answer_s
        try:
            async with asyncio.timeout(within_s):
                answer = await self._answered(start, end)
        except TimeoutError as error:
            raise SourceError(f"{self._where()} does not answer within {within_s:g} s") from error
        try:
            yield answer
        finally:
            answer.close()  # not release: the rest of a large body must not be read

    async def _answered(self, start: int, end: int) -> aiohttp.ClientResponse:
        """Return the first answer that leads nowhere else; who gets it closes it."""
        url = self._policy.checked(self._url)
        headers = _HEADERS | {"Range": f"bytes={start}-{end - 1}"}
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._request(url, headers | self._shown_to(url))
            with ExitStack() as unless_given:
                unless_given.callback(answer.close)
                if answer.status not in _REDIRECTS:
                    self._check(answer, url, start)
                    unless_given.pop_all()
                    return answer
                url = self._policy.checked_redirect(self._target(answer, url), who=self._where())
        raise SourceError(
            f"{self._where()} redirects more than {MAX_REDIRECTS} times; name the final URL",
            reason=ImageReason.SOURCE_REFUSED,
            retryable=False,
        )

    async def _request(self, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        try:
            return await self._session.get(url, headers=headers, allow_redirects=False)
        except SourceError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The resolver's own refusal arrives wrapped in aiohttp's error.
            if isinstance(error.__cause__, SourceError):
                raise error.__cause__ from error
            raise SourceError(f"{self._where()} cannot be reached: {_cause(error)}") from error

    def _shown_to(self, url: URL) -> dict[str, str]:
        return self._credential.headers(url) if self._credential is not None else {}

    def _target(self, answer: aiohttp.ClientResponse, url: URL) -> str:
        location = answer.headers.get("Location", "")
        try:
            return str(url.join(URL(location)))
        except ValueError as error:
            raise SourceError(
                f"{self._where()} redirects to something that is no URL", reason=ImageReason.SOURCE_REFUSED
            ) from error

    def _check(self, answer: aiohttp.ClientResponse, url: URL, start: int) -> None:
        if answer.status in _GONE:
            raise SourceError(
                f"{self._where()} answers {answer.status}: mend the URL or put the file there",
                reason=ImageReason.NOT_FOUND,
            )
        if answer.status in _REFUSED and self._credential is not None:
            raise self._not_let_in(answer.status, url, self._credential)
        if answer.status == 401:  # noqa: PLR2004 - HTTP's "Unauthorized"
            raise SourceError(
                f"{self._where()} answers 401: create an Image that names a Secret in spec.source.http.secretRef"
            )
        if answer.status not in {200, 206}:
            # The origin's own words may repeat what it was shown.
            words = "" if self._credential else (answer.reason or "")[:40]
            raise SourceError(f"{self._where()} answers {answer.status} {words}".rstrip())
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise SourceError(f"{self._where()} sends compressed content although none was asked for")
        if answer.status == 206 and self._range(answer)[0] != start:  # noqa: PLR2004 - HTTP's "Partial Content"
            raise SourceError(f"{self._where()} answers with another range than the one asked for")

    def _not_let_in(self, status: int, url: URL, credential: Credential) -> CredentialsError:
        # Without the origin's own words: they may repeat what it was shown.
        if credential.is_for(url):
            return CredentialsError(f"{self._where()} answers {status}: check {credential.secret}")
        return CredentialsError(
            f"{self._where()} answers {status} from an origin that {credential.secret} is not for and was not shown to"
        )

    def _size(self, answer: aiohttp.ClientResponse) -> int:
        if answer.status == 206:  # noqa: PLR2004 - HTTP's "Partial Content"
            return self._range(answer)[1]
        if answer.content_length is None:
            raise SourceError(
                f"{self._where()} does not tell its size; serve the file with Content-Length",
                reason=ImageReason.SOURCE_REFUSED,
            )
        return answer.content_length

    def _range(self, answer: aiohttp.ClientResponse) -> tuple[int, int]:
        """Return start and full size."""
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if not match:
            raise SourceError(f"{self._where()} sends a range without saying which one")
        return int(match[1]), int(match[3])

    def _where(self) -> str:
        """Return the URL without its query, which may hold a secret."""
        return f"the URL {self._policy.shown(self._url)}"


def client_session(policy: OriginPolicy, deadlines: OriginDeadlines | None = None) -> aiohttp.ClientSession:
    """Return the session for all origins: no cookies, no proxy, and no address that the policy refuses."""
    deadlines = deadlines or OriginDeadlines()
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=policy.resolver(), limit=CONNECTIONS, limit_per_host=CONNECTIONS_PER_HOST
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=deadlines.connect_s, sock_read=deadlines.silence_s),
        auto_decompress=False,
        trust_env=False,
        read_bufsize=256 * 1024,
        max_field_size=2
        * MAX_REDIRECT,  # one that is too long is to be named, not taken for a fault of the network
    )


def _cause(error: BaseException) -> str:
    if isinstance(error, TooSlowError):
        return str(error)
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "no answer in time"
    return (str(error) or type(error).__name__)[:200]
