"""The operator's side of the image server: asks what an image is.

The operator shows its own token, which the image server has reviewed. Answers are read with a cap and a deadline.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from innkeeper.domain.reasons import ImageReason
from innkeeper.errors import InnkeeperError
from innkeeper.followed_authority import FollowedAuthority
from innkeeper.images.answers import ErrorAnswer, InspectAnswer, InspectRequest
from innkeeper.kube.credentials import Credentials
from innkeeper.views.catalog import Image
from innkeeper.workers.rare.image_status import known_of

MAX_ANSWER_BYTES = 64 * 1024
TIMEOUT_S = 20


class ImageServerError(InnkeeperError):
    """The image server does not answer, or refuses to."""

    reason = ImageReason.SERVER_UNREACHABLE


class ImageServer:
    """Asks one image server under the operator's identity."""

    def __init__(self, base_url: str, *, credentials: Credentials, ca_file: Path | None = None) -> None:
        self._url = f"{base_url}/v1/inspect"
        self._credentials = credentials
        self._ca_file = ca_file
        self._authority: FollowedAuthority | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session.

        Raises:
            OSError: the file of the image server's authority cannot be read, or holds no certificate.
        """
        self._authority = FollowedAuthority(self._ca_file)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=16),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    async def inspect(self, image: Image) -> InspectAnswer:
        """Ask what the image is; the image server reads it in the background and answers at once.

        Raises:
            ImageServerError: it does not answer, or refuses to.
        """
        token = self._credentials.bearer()
        if token is None:
            raise ImageServerError("the operator has no token to show; run it with a service account's token")
        question = InspectRequest.of(image, known=known_of(image))
        status, body = await self._post(msgspec.json.encode(question), token)
        try:
            if status == 200:  # noqa: PLR2004 - HTTP's own number
                answer: InspectAnswer = msgspec.json.decode(body, type=InspectAnswer)
                return answer
            refusal = msgspec.json.decode(body, type=ErrorAnswer)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ImageServerError(
                f"the image server gave no answer that can be read (HTTP {status})"
            ) from error
        raise ImageServerError(f"the image server refuses to say what the image is: {refusal.message}")

    async def _post(self, body: bytes, token: str) -> tuple[int, bytes]:
        assert self._session is not None, "the image server's client is not entered"  # noqa: S101 - misuse by our own code
        assert self._authority is not None  # noqa: S101 - read where the session is opened
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, ssl=self._authority.context, allow_redirects=False
            ) as answer:
                return answer.status, await answer.content.read(MAX_ANSWER_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause = str(error) or type(error).__name__
            raise ImageServerError(f"the image server does not answer at {self._url}: {cause}") from error
