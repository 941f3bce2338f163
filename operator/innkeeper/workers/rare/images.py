"""Images: ask the image server until an image is Ready, and say in its status what was found.

An image that is Ready is not asked about again: what it is never changes. Everything else is asked about again after a
while, a wrong digest included, since the file at the source may be replaced.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from innkeeper.clock import Clock
from innkeeper.domain.reasons import ConditionType, ImageReason
from innkeeper.images.answers import Failed, InspectAnswer, Preparing, Ready
from innkeeper.kube import conditions
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ConflictError, NotFoundError
from innkeeper.kube.resources import IMAGES
from innkeeper.telemetry.metrics import OperatorMetrics
from innkeeper.views.catalog import Image
from innkeeper.views.meta import Condition
from innkeeper.workers.rare.image_server import ImageServerError

log = structlog.get_logger(__name__)

PREPARING_S = (0.25, 3.0)  # the first pause, and the longest
FAILED_S = (2.0, 30.0)
TERMINAL_S = 60.0
IN_USE_S = 10.0
_MOST_NAMES = 10
_FACTS = ("digest", "format", "size", "virtualSize", "manifestDigest", "progress")


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

    async def check(self, namespace: str, name: str, *, attempt: int) -> float | None:
        """Ask once and write what is new; return the seconds after which to ask again, or None when done.

        Raises:
            ApiError: the API server refused, or is away.
        """
        try:
            image = await self._client.get(IMAGES, name, namespace=namespace)
        except NotFoundError:
            return None
        if image.metadata.deletion_timestamp is not None:
            return None
        answer = await self._ask(image)
        self._metrics.image_inspections.labels(state=type(answer).__name__).inc()
        try:
            await self._report(image, status_of(image, answer))
        except (ConflictError, NotFoundError):
            return PREPARING_S[0]
        return pause_after(answer, attempt=attempt)

    async def let_go(self, namespace: str, name: str) -> float | None:
        """Return the seconds after which to look again whether a deleted image may go; None when it may.

        Guests that are bound to it may still be built from it, on this host or on the next.

        Raises:
            ApiError: the API server refused, or is away.
        """
        users = self._users((namespace, name))
        if not users:
            return None
        try:
            image = await self._client.get(IMAGES, name, namespace=namespace)
            await self._report(
                image, {**facts_of(image), "conditions": [*_told(image), _in_use(image, users)]}
            )
        except NotFoundError:
            return None
        except ConflictError:
            return PREPARING_S[0]
        return IN_USE_S

    async def _ask(self, image: Image) -> InspectAnswer:
        try:
            return await self._server.inspect(image)
        except ImageServerError as error:
            return Failed(reason=error.reason, message=error.message, retryable=True)

    async def _report(self, image: Image, status: dict[str, Any]) -> None:
        new = status["conditions"]
        status["conditions"] = conditions.documents(image.status.conditions, new, now=self._clock.now())
        old = {
            **facts_of(image),
            "conditions": [conditions.document(each) for each in image.status.conditions],
        }
        if status == old:
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


def status_of(image: Image, answer: InspectAnswer) -> dict[str, Any]:
    """Return the whole status that an answer means; None takes a field away."""
    facts: dict[str, Any] = dict.fromkeys(_FACTS)
    if isinstance(answer, Ready):
        facts |= {
            "digest": answer.digest,
            "format": answer.format,
            "size": str(answer.size),
            "virtualSize": str(answer.virtual_size),
            "manifestDigest": answer.manifest_digest,
        }
        ready = _ready(image, "True", ImageReason.READY, "the image may be booted")
    elif isinstance(answer, Preparing):
        facts["progress"] = answer.progress
        ready = _ready(image, "False", ImageReason.PREPARING, "the image server reads the image")
    else:
        ready = _ready(image, "False", answer.reason, answer.message)
    return {"observedGeneration": image.metadata.generation, **facts, "conditions": [ready]}


def facts_of(image: Image) -> dict[str, Any]:
    """Return the status as it is, in the same form, without its conditions."""
    status = image.status
    return {
        "observedGeneration": status.observed_generation,
        "digest": status.digest,
        "format": status.format,
        "size": status.size,
        "virtualSize": status.virtual_size,
        "manifestDigest": status.manifest_digest,
        "progress": status.progress,
    }


def _told(image: Image) -> list[Condition]:
    return [each for each in image.status.conditions if each.type == ConditionType.READY]


def _in_use(image: Image, users: Sequence[tuple[str, str]]) -> Condition:
    shown = ", ".join(f"{namespace}/{name}" for namespace, name in users[:_MOST_NAMES])
    more = f" and {len(users) - _MOST_NAMES} more" if len(users) > _MOST_NAMES else ""
    return Condition(
        type=ConditionType.IN_USE,
        status="True",
        reason=ImageReason.GUESTS_REMAIN,
        message=f"the image goes when no guest is bound to it any more: delete {shown}{more}",
        observed_generation=image.metadata.generation,
    )


def _ready(image: Image, status: str, reason: str, message: str) -> Condition:
    return Condition(
        type=ConditionType.READY,
        status=status,
        reason=reason,
        message=message,
        observed_generation=image.metadata.generation,
    )
