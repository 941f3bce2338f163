"""Images: ask the image server until an image is Ready, and say in its status what was found.

What is not Ready is asked about again after a while, a wrong digest included, since the file at the source may be
replaced. What is Ready is looked at again on a slow timer. What an answer means is decided in `image_status`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from innkeeper.clock import Clock
from innkeeper.domain.reasons import ImageReason
from innkeeper.images.answers import Failed, InspectAnswer, Ready
from innkeeper.kube import conditions
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ConflictError, NotFoundError
from innkeeper.kube.resources import IMAGES
from innkeeper.telemetry.metrics import OperatorMetrics
from innkeeper.views.catalog import Image
from innkeeper.workers.rare.image_server import ImageServerError
from innkeeper.workers.rare.image_status import in_use_of, is_ready, status_of, status_so_far, stays_ready

log = structlog.get_logger(__name__)

PREPARING_S = (0.25, 3.0)  # the first pause, and the longest
FAILED_S = (2.0, 30.0)
TERMINAL_S = 60.0
LOOK_AGAIN_S = 10.0  # while the answer about a Ready image is open; the image server keeps one for 20 s
IN_USE_S = 10.0


class Asks(Protocol):
    """The image server."""

    async def inspect(self, image: Image) -> InspectAnswer:
        """Return what the image is."""
        ...


class Images:
    """Brings Images to Ready."""

    def __init__(
        self,
        client: Client,
        server: Asks,
        *,
        users: Callable[[tuple[str, str]], Sequence[tuple[str, str]]],
        clock: Clock,
        metrics: OperatorMetrics,
    ) -> None:
        self._users = users
        self._client = client
        self._server = server
        self._clock = clock
        self._metrics = metrics
        self._unanswered: set[tuple[str, str]] = set()  # the images about which the image server said nothing

    async def check(self, namespace: str, name: str, *, attempt: int) -> float | None:
        """Ask once and write what is new; return the seconds after which to ask again, or None when it is Ready.

        Raises:
            ApiError: the API server refused, or is away.
        """
        image = await self._read(namespace, name)
        if image is None:
            return None
        answer = await self._ask_and_report(image)
        if answer is None:
            return PREPARING_S[0]
        return None if stays_ready(image, answer) else pause_after(answer, attempt=attempt)

    async def look_again(self, namespace: str, name: str) -> float | None:
        """Look whether a Ready image still is what it was; return the seconds after which to try again, or None.

        Who asks about images that are not Ready is `check`, also from the moment when this finds that one is not.

        Raises:
            ApiError: the API server refused, or is away.
        """
        image = await self._read(namespace, name)
        if image is None or not is_ready(image):
            return None
        answer = await self._ask_and_report(image)
        settled = isinstance(answer, Ready) or (answer is not None and not stays_ready(image, answer))
        return None if settled else LOOK_AGAIN_S

    async def let_go(self, namespace: str, name: str) -> float | None:
        """Return the seconds after which to look again whether a deleted image may go; None when it may.

        Guests that are bound to it may still be built from it, on this host or on the next.

        Raises:
            ApiError: the API server refused, or is away.
        """
        self._note(namespace, name, is_answered=True)  # it is asked about no more
        users = self._users((namespace, name))
        if not users:
            return None
        try:
            image = await self._client.get(IMAGES, name, namespace=namespace)
            await self._report(image, in_use_of(image, users))
        except NotFoundError:
            return None
        except ConflictError:
            return PREPARING_S[0]
        return IN_USE_S

    async def _read(self, namespace: str, name: str) -> Image | None:
        """Return the Image, or None where it is gone or goes."""
        try:
            image = await self._client.get(IMAGES, name, namespace=namespace)
        except NotFoundError:
            image = None
        if image is None or image.metadata.deletion_timestamp is not None:
            self._note(namespace, name, is_answered=True)  # it is asked about no more
            return None
        return image

    async def _ask_and_report(self, image: Image) -> InspectAnswer | None:
        """Return the answer, or None where the Image changed meanwhile and nothing was written."""
        answer = await self._ask(image)
        is_silence = isinstance(answer, Failed) and answer.reason == ImageReason.SERVER_UNREACHABLE
        self._note(image.metadata.namespace, image.metadata.name, is_answered=not is_silence)
        self._metrics.image_inspections.labels(state=type(answer).__name__).inc()
        try:
            await self._report(image, status_of(image, answer))
        except (ConflictError, NotFoundError):
            return None
        return answer

    def _note(self, namespace: str, name: str, *, is_answered: bool) -> None:
        (self._unanswered.discard if is_answered else self._unanswered.add)((namespace, name))
        self._metrics.images_unanswered.set(len(self._unanswered))

    async def _ask(self, image: Image) -> InspectAnswer:
        try:
            return await self._server.inspect(image)
        except ImageServerError as error:
            return Failed(reason=error.reason, message=error.message, retryable=True)

    async def _report(self, image: Image, status: dict[str, Any]) -> None:
        new = status["conditions"]
        status["conditions"] = conditions.documents(image.status.conditions, new, now=self._clock.now())
        if status == status_so_far(image):
            return
        await self._client.patch(
            IMAGES,
            image.metadata.name,
            {"status": status},
            namespace=image.metadata.namespace,
            subresource="status",
            resource_version=image.metadata.resource_version,
        )
        log.info(
            "image_reported",
            image=f"{image.metadata.namespace}/{image.metadata.name}",
            reason=new[0].reason,
            message=new[0].message,
        )


def pause_after(answer: InspectAnswer, *, attempt: int) -> float | None:
    """Return the seconds to wait before the next question, or None where none is needed."""
    if isinstance(answer, Ready):
        return None
    if isinstance(answer, Failed) and not answer.retryable:
        return TERMINAL_S
    first, longest = FAILED_S if isinstance(answer, Failed) else PREPARING_S
    return float(min(longest, first * 2 ** min(attempt, 10)))
