"""Kubernetes Events of what happened some time ago, with the time when it did: each is written once, in order.

Unlike `events` nothing is dropped here that the API server would take later: who tells hears of a failure, and tells
again. The name of an Event follows from what it tells, so that it is there already where it was told before.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import structlog

from innkeeper.clock import parse_rfc3339, rfc3339, rfc3339_micro
from innkeeper.kube.client import Client
from innkeeper.kube.errors import (
    AlreadyExistsError,
    InvalidError,
    NamespaceTerminatingError,
    NotFoundError,
)
from innkeeper.kube.events import MAX_MESSAGE
from innkeeper.kube.resources import EVENTS, GUESTS
from innkeeper.views.meta import Meta

log = structlog.get_logger(__name__)

HOST_COMPONENT = "innkeeper.dev/agent"  # as these Events name who saw it
_LONGEST_REASON = 128


@dataclass(frozen=True, kw_only=True)
class PastEvent:
    """What a host saw of a guest. `at` is RFC 3339 by the host's clock; `key` is another for each thing that happened."""

    about: Meta
    host: str
    key: str
    at: str
    reason: str
    message: str
    is_warning: bool = False

    @property
    def name(self) -> str:
        """The Event's name."""
        return f"{self.about.name}.{hashlib.sha256(self.key.encode()).hexdigest()[:16]}"


async def write(client: Client, event: PastEvent) -> bool:
    """Create an Event; tell whether it is new. One for a namespace that is gone, or going, counts as written.

    So does one that the API server never takes as it is: what comes behind it must not wait for it for ever.

    Raises:
        ForbiddenError: a quota or a webhook of the namespace refuses it, or our rights are being renewed.
        ApiError: it was not written.
        ValueError: `at` is no time.
    """
    try:
        await client.create(EVENTS, _body(event), namespace=event.about.namespace)
    except AlreadyExistsError:
        return False
    except (NotFoundError, NamespaceTerminatingError) as error:
        log.info("past_event_refused", about=event.about.name, message=error.message)
        return False
    except InvalidError as error:
        log.warning("past_event_invalid", about=event.about.name, told=event.reason, message=error.message)
        return False
    return True


def _body(event: PastEvent) -> dict[str, Any]:
    at = parse_rfc3339(event.at)
    reason = event.reason[:_LONGEST_REASON]
    return {
        "metadata": {"name": event.name},
        "involvedObject": {
            "apiVersion": GUESTS.api_version,
            "kind": GUESTS.kind,
            "namespace": event.about.namespace,
            "name": event.about.name,
            "uid": event.about.uid,
        },
        "type": "Warning" if event.is_warning else "Normal",
        "reason": reason,
        "action": reason,
        # The API server counts bytes of an Event with a time of its own.
        "message": event.message.encode()[:MAX_MESSAGE].decode(errors="ignore"),
        "firstTimestamp": rfc3339(at),
        "lastTimestamp": rfc3339(at),
        "eventTime": rfc3339_micro(at),
        "count": 1,
        "source": {"component": HOST_COMPONENT, "host": event.host},
        "reportingComponent": HOST_COMPONENT,
        "reportingInstance": event.host,
    }
