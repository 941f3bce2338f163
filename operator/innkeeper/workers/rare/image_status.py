"""What an Image's status says after an answer of the image server. Pure: whoever asks and writes is elsewhere.

An image that is Ready stays so while its source does not answer: hosts may hold its bytes, and an outage is no change.
Only bytes that were read and found wrong end it.
"""

from collections.abc import Sequence
from typing import Any

from innkeeper.domain.quantity import bytes_of
from innkeeper.domain.reasons import WRONG_CONTENT, ConditionType, ImageReason
from innkeeper.images.answers import Failed, InspectAnswer, Preparing, Ready
from innkeeper.kube import conditions
from innkeeper.views.catalog import Image
from innkeeper.views.meta import Condition

_MOST_NAMES = 10


def is_ready(image: Image) -> bool:
    """Tell whether guests may boot an image."""
    ready = conditions.find(image.status.conditions, ConditionType.READY)
    return ready is not None and ready.status == "True"


def known_of(image: Image) -> Ready | None:
    """Return what the image server answered about an image that is Ready, from its status; else None."""
    status = image.status
    if not is_ready(image) or status.digest != image.spec.digest:
        return None
    if status.format is None or status.size is None or status.virtual_size is None:
        return None
    return Ready(
        format=status.format,
        size=bytes_of(status.size),
        virtual_size=bytes_of(status.virtual_size),
        digest=status.digest,
        content_digest=status.content_digest,
        manifest_digest=status.manifest_digest,
        source_version=status.source_version,
    )


def stays_ready(image: Image, answer: InspectAnswer) -> bool:
    """Tell whether an image that is Ready still is after an answer: unless its bytes were found wrong."""
    return is_ready(image) and not (isinstance(answer, Failed) and answer.reason in WRONG_CONTENT)


def status_of(image: Image, answer: InspectAnswer) -> dict[str, Any]:
    """Return the whole status that an answer means; None takes a field away.

    Facts that were checked once stay: they speak of the bytes with the image's digest, which guests are bound to.
    """
    facts = {**_facts_of(image), "observedGeneration": image.metadata.generation, "progress": None}
    if isinstance(answer, Ready):
        facts |= {
            "digest": answer.digest,
            "contentDigest": answer.content_digest,
            "format": answer.format,
            "size": str(answer.size),
            "virtualSize": str(answer.virtual_size),
            "manifestDigest": answer.manifest_digest,
            "sourceVersion": answer.source_version,
        }
    elif isinstance(answer, Preparing) and not is_ready(image):
        facts["progress"] = answer.progress
    return {**facts, "conditions": _conditions(image, answer)}


def _conditions(image: Image, answer: InspectAnswer) -> list[Condition]:
    if isinstance(answer, Ready) or stays_ready(image, answer):
        ready = _condition(image, ConditionType.READY, "True", ImageReason.READY, "the image may be booted")
        return [ready, *_source_unreachable(image, answer)]
    if isinstance(answer, Preparing):
        answer = Failed(
            reason=ImageReason.PREPARING, message="the image server reads the image", retryable=True
        )
    failed = [_condition(image, ConditionType.READY, "False", answer.reason, answer.message)]
    if not answer.retryable:
        failed.append(_condition(image, ConditionType.STALLED, "True", answer.reason, answer.message))
    return failed


def _source_unreachable(image: Image, answer: InspectAnswer) -> list[Condition]:
    """Return the condition of a Ready image whose source could not be looked at; none where it was."""
    if isinstance(answer, Ready):
        return []
    if isinstance(answer, Preparing) or answer.reason == ImageReason.SERVER_UNREACHABLE:
        return [each for each in image.status.conditions if each.type == ConditionType.SOURCE_UNREACHABLE]
    message = f"whether the source still has this image is not known: {answer.message}"
    return [_condition(image, ConditionType.SOURCE_UNREACHABLE, "True", answer.reason, message)]


def _facts_of(image: Image) -> dict[str, Any]:
    status = image.status
    return {
        "observedGeneration": status.observed_generation,
        "digest": status.digest,
        "contentDigest": status.content_digest,
        "format": status.format,
        "size": status.size,
        "virtualSize": status.virtual_size,
        "manifestDigest": status.manifest_digest,
        "sourceVersion": status.source_version,
        "progress": status.progress,
    }


def status_so_far(image: Image) -> dict[str, Any]:
    """Return the status as it is, in the same form."""
    documents = [conditions.document(each) for each in image.status.conditions]
    return {**_facts_of(image), "conditions": documents}


def in_use_of(image: Image, users: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the status of an image whose deletion waits for guests, by namespace and name."""
    told = [each for each in image.status.conditions if each.type != ConditionType.IN_USE]
    return {**_facts_of(image), "conditions": [*told, _in_use(image, users)]}


def _in_use(image: Image, users: Sequence[tuple[str, str]]) -> Condition:
    """Name the first guests of the image's namespace; who reads it need not be told those of others, who share it."""
    own = [name for namespace, name in users if namespace == image.metadata.namespace]
    named = ", ".join(own[:_MOST_NAMES])
    more = f" and {len(own) - _MOST_NAMES} more" if len(own) > _MOST_NAMES else ""
    others = len(users) - len(own)
    elsewhere = f"{others} guest{'s' * (others > 1)} of other namespaces" if others else ""
    waits_for = ", and ".join(each for each in (named + more, elsewhere) if each)
    message = f"the image goes when no guest is bound to it any more: delete {waits_for}"
    return _condition(image, ConditionType.IN_USE, "True", ImageReason.GUESTS_REMAIN, message)


def _condition(image: Image, kind: ConditionType, status: str, reason: str, message: str) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        observed_generation=image.metadata.generation,
    )
