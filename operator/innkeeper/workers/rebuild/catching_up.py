"""Brings Guests of an older copy of the store to what their hosts were ordered since: one guarded write for each.

Whoever changes the Guest at the same time comes first: it is compared anew then. What was written is told on the Guest.
"""

from collections import Counter
from collections.abc import Callable

import structlog

from innkeeper.clock import Clock
from innkeeper.domain.rebuild import catching_up
from innkeeper.domain.rebuild.catching_up import CatchingUp
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ConflictError, NotFoundError
from innkeeper.kube.events import EventWriter, News
from innkeeper.kube.resources import GUESTS
from innkeeper.views.meta import View
from innkeeper.workers.rebuild.looking import standing_order
from innkeeper.workers.rebuild.patience import patiently

log = structlog.get_logger(__name__)

REASON = "CaughtUp"


class Catching:
    """One run's part of it. `made` counts what was written by kind; what cannot be done is raised as an ApiError."""

    def __init__(
        self, client: Client, *, clock: Clock, made: Counter[str], assume: Callable[[View], None]
    ) -> None:
        self._client = client
        self._clock = clock
        self._made = made
        self._assume = assume
        self._events = EventWriter(client, clock=clock, component="innkeeper-operator", instance="rebuild")

    async def bring(self, found: CatchingUp) -> None:
        """Write what a Guest lacks, unless it is gone, or another one has its name.

        Raises:
            ApiError: the API server refused, or is away.
        """
        wanted: CatchingUp | None = found

        async def write() -> None:
            nonlocal wanted
            if wanted is None or not wanted.is_due:
                return
            try:
                await self._write(wanted)
            except ConflictError:
                wanted = await self._again(wanted)
                raise

        try:
            await patiently(write, self._clock)
        except NotFoundError:
            log.info("guest_gone_meanwhile", guest=found.held.order.guest_id)

    async def _write(self, wanted: CatchingUp) -> None:
        guest, order = wanted.guest.metadata, wanted.held.order
        written = await self._client.patch(
            GUESTS,
            guest.name,
            wanted.patch,
            namespace=guest.namespace,
            resource_version=guest.resource_version,
            uid=guest.uid,
        )
        self._assume(written)
        if not wanted.changes:
            return
        self._made["CaughtUp"] += 1
        log.info("guest_caught_up", guest=order.guest_id, host=order.host, changes=wanted.changes)
        await self._events.tell_now(News(GUESTS, written.metadata, REASON, wanted.message()))

    async def _again(self, wanted: CatchingUp) -> CatchingUp | None:
        """Return what is to be written on the Guest as it is now."""
        before = wanted.guest.metadata
        guest = await self._client.get(GUESTS, before.name, namespace=before.namespace)
        if guest.metadata.uid != before.uid:
            return None
        return catching_up.catching_up(guest, wanted.held, await standing_order(self._client, guest))
