"""Kubernetes Events about objects: for people who look, never for programs. Best effort, bounded, and slow on purpose.

The same news of an object again raises the count of one Event. Who has much to tell of one object, or of all at once, is
cut short: an Event that cannot be written soon is worth nothing, and the API server has better things to do.
"""

import asyncio
import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any

import structlog

from innkeeper.clock import Clock, rfc3339
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError
from innkeeper.kube.resources import EVENTS, Resource
from innkeeper.views.meta import Meta

log = structlog.get_logger(__name__)

MAX_WAITING = 1000
BETWEEN_WRITES_S = 0.1
BURST = 10  # of one object
REFILL_S = 60.0
MAX_MESSAGE = 1024
_MAX_OBJECTS = 10_000


@dataclass(frozen=True)
class News:
    """What happened to an object."""

    resource: Resource[Any]
    about: Meta
    reason: str
    message: str
    is_warning: bool = False

    @property
    def event_name(self) -> str:
        """The name of its Event: the same for the same news of the same object."""
        words = f"{self.about.uid}\n{self.reason}\n{self.message}"
        return f"{self.about.name}.{hashlib.sha256(words.encode()).hexdigest()[:16]}"


class EventWriter:
    """Writes Events in the order in which they were told. `dropped` counts those that were not."""

    def __init__(self, client: Client, *, clock: Clock, component: str, instance: str) -> None:
        self._client = client
        self._clock = clock
        self._component = component
        self._instance = instance
        self._waiting: deque[News] = deque()
        self._told = asyncio.Event()
        self._allowances: OrderedDict[str, tuple[float, float]] = OrderedDict()  # by uid: left, as of
        self.dropped = 0

    def tell(self, news: News) -> None:
        """Have an Event written, if there is room for it."""
        if len(self._waiting) >= MAX_WAITING or not self._is_allowed(news.about.uid):
            self.dropped += 1
            return
        self._waiting.append(news)
        self._told.set()

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._told.wait()
            while self._waiting:
                await self.tell_now(self._waiting.popleft())
                await self._clock.sleep(BETWEEN_WRITES_S)
            self._told.clear()

    async def tell_now(self, news: News) -> None:
        """Write an Event at once: for whoever is about to end, and tells of each object once."""
        try:
            await self._write(news)
        except InnkeeperError as error:
            self.dropped += 1
            log.info("event_not_written", about=news.about.name, reason=error.reason)
        except Exception:  # what is only told must end nothing else
            log.exception("event_broke", about=news.about.name)

    def _is_allowed(self, uid: str) -> bool:
        now = self._clock.monotonic()
        left, since = self._allowances.pop(uid, (float(BURST), now))
        left = min(float(BURST), left + (now - since) / REFILL_S)
        allowed = left >= 1
        self._allowances[uid] = (left - 1 if allowed else left, now)
        if len(self._allowances) > _MAX_OBJECTS:
            self._allowances.popitem(last=False)
        return allowed

    async def _write(self, news: News) -> None:
        namespace, now = news.about.namespace, rfc3339(self._clock.now())
        try:
            await self._client.create(EVENTS, self._body(news, now), namespace=namespace)
        except AlreadyExistsError:
            before = await self._client.get(EVENTS, news.event_name, namespace=namespace)
            await self._client.patch(
                EVENTS,
                news.event_name,
                {"count": before.count + 1, "lastTimestamp": now},
                namespace=namespace,
                resource_version=before.metadata.resource_version,
                uid=before.metadata.uid,
            )

    def _body(self, news: News, now: str) -> dict[str, Any]:
        return {
            "metadata": {"name": news.event_name},
            "involvedObject": {
                "apiVersion": news.resource.api_version,
                "kind": news.resource.kind,
                "namespace": news.about.namespace,
                "name": news.about.name,
                "uid": news.about.uid,
            },
            "type": "Warning" if news.is_warning else "Normal",
            "reason": news.reason,
            "message": news.message[:MAX_MESSAGE],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }
