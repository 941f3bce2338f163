"""A heartbeat that one process alone may give: it finds out when another one of the same identity is alive.

Where the Lease names another holder, nothing is written before that one was not heard for a while of watching; one that
renews it is alive, and then who watches must end. Only changes of the Lease count, never the times in it, so clocks may
differ. Each write replaces the version that the last one made, so a second process is noticed by both.

Pauses differ a little. Processes that began at the same moment, or that all waited for the same answer, would otherwise
write at the same moment from then on, and whoever else writes then would wait for all of them.

A process that follows one of its own kind does not watch. Where that is an error, since it has a copy of what it knows
the other by, that one takes the Lease back at its next beat, and the follower finds it alive and ends.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import structlog

from innkeeper.clock import Clock, rfc3339_micro
from innkeeper.errors import InnkeeperError, TerminalError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ConflictError, NotFoundError
from innkeeper.kube.resources import LEASES
from innkeeper.kube.views import Lease

log = structlog.get_logger()

WATCHED_PERIODS = 3  # of a Lease that names another holder, before it is taken over
LOOKS_PER_PERIOD = 5  # while it is not ours
# In which who was followed, and is alive all the same, has renewed the Lease or taken it back.
TRUST_PERIODS = 1.5
SHORTEST_PAUSE = 0.9  # of a period; none is longer than one, since who watches counts in whole periods


class AnotherHolderError(TerminalError):
    """Another process of this identity is alive."""

    reason = "AnotherAgent"


@dataclass(frozen=True)
class _Rival:
    """Another holder, what it wrote last, and when, by our monotonic clock, that was seen first."""

    holder: str
    renewed: str | None
    seen_at: float


@dataclass(frozen=True, kw_only=True)
class Holder:
    """This process and the one before it.

    `identity` is this process's alone: `GROUP/PROCESS`. `follows` is that of the process of its group before it, None
    for the first one, and `is_gone` tells whether that one is known to have ended. `keep` is called before the
    Lease names us for the first time: it remembers the identity for the process after this one.
    """

    identity: str
    follows: str | None
    is_gone: bool
    keep: Callable[[], Awaitable[None]]


class SoleHeartbeat:
    """One host's heartbeat. `ours` is set once the Lease names us, `undisputed` once nobody else can be alive."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        holder: Holder,
        labels: dict[str, str],
        clock: Clock,
        random: Random | None = None,
    ) -> None:
        self.ours = asyncio.Event()
        self.undisputed = asyncio.Event()
        self._client = client
        self._namespace = namespace
        self._name = name
        self._us = holder
        self._labels = labels
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - it only spreads writes over time
        self._version: str | None = None  # the resourceVersion that our next write replaces
        self._rival: _Rival | None = None
        self._follows = holder.follows  # until the first look
        self._taken_from: str | None = None
        self._in_trust = False  # it was taken without watching and without knowing
        self._renewed_at = clock.monotonic()

    @property
    def is_disputed(self) -> bool:
        """Whether somebody else may be alive, by what the Lease said; False also while nothing is known of it."""
        return self._rival is not None or (self.ours.is_set() and not self.undisputed.is_set())

    def age_s(self) -> float:
        """Return for how many seconds the Lease was not renewed; before the first time, since this was made."""
        return self._clock.monotonic() - self._renewed_at

    async def run(self, *, period_s: float, duration_s: float) -> None:
        """Renew for ever; a failure is logged and tried again.

        Raises:
            AnotherHolderError: another process renews it.
        """
        while True:
            try:
                # A call that hangs must not cost the beats after it.
                async with asyncio.timeout(period_s):
                    await self._beat(period_s=period_s, duration_s=duration_s)
            except AnotherHolderError:
                raise
            except (InnkeeperError, TimeoutError) as error:
                log.warning("heartbeat_failed", lease=self._name, error=str(error) or "too slow")
            await self._clock.sleep(period_s * self._pause_periods())

    def _pause_periods(self) -> float:
        if not self.ours.is_set() or self._version is None:
            return 1 / LOOKS_PER_PERIOD
        return self._random.uniform(SHORTEST_PAUSE, 1) if self.undisputed.is_set() else TRUST_PERIODS

    async def _beat(self, *, period_s: float, duration_s: float) -> None:
        exists = self._version is not None or await self._may_take(period_s)
        if self._rival is not None:
            return
        if not self.ours.is_set():
            await self._us.keep()
        metadata: dict[str, Any] = {"labels": self._labels}
        spec = {
            "holderIdentity": self._us.identity,
            "leaseDurationSeconds": max(1, round(duration_s)),
            "renewTime": rfc3339_micro(self._clock.now()),
        }
        try:
            if exists:
                lease = await self._client.patch(
                    LEASES,
                    self._name,
                    {"metadata": metadata, "spec": spec},
                    namespace=self._namespace,
                    resource_version=self._version,
                )
            else:
                body = {"metadata": {"name": self._name, **metadata}, "spec": spec}
                lease = await self._client.create(LEASES, body, namespace=self._namespace)
        except (ConflictError, NotFoundError):
            self._version = None  # somebody wrote to it, or took it away: the next beat looks
            raise
        self._version = lease.metadata.resource_version
        self._renewed_at = self._clock.monotonic()
        if self.ours.is_set() or not self._in_trust:
            self.undisputed.set()
        self.ours.set()

    async def _may_take(self, period_s: float) -> bool:
        """Look who holds the Lease; tell whether there is one. While another holds it, `_rival` is set."""
        try:
            lease = await self._client.get(LEASES, self._name, namespace=self._namespace)
        except NotFoundError:
            self._rival = self._still_watched(period_s)
            # Whoever has a copy of what we know may be alive: it makes the Lease anew, or takes it back.
            self._in_trust = self._us.follows is not None
            return False
        self._rival = self._alive(lease, period_s)
        if self._rival is None:
            self._version = lease.metadata.resource_version
        return True

    def _alive(self, lease: Lease, period_s: float) -> _Rival | None:
        """Return who else may be alive.

        Raises:
            AnotherHolderError: it is.
        """
        holder, renewed = lease.spec.holder_identity, lease.spec.renew_time
        # Only who looks for the first time follows it at once: whoever is found there later was written by somebody.
        follows, self._follows = self._follows, None
        if not holder or holder == self._us.identity or self._took_us_for_gone(holder, period_s):
            return None
        if holder == follows:
            self._taken_from, self._in_trust = holder, not self._us.is_gone
            return None
        now, known = self._clock.monotonic(), self._rival
        if known is None or known.holder != holder:
            log.warning("heartbeat_of_another", lease=self._name, holder=holder)
            return _Rival(holder, renewed, now)
        if renewed != known.renewed:
            raise AnotherHolderError(
                f"another agent of this host is alive, {holder}; this one is {self._us.identity}: one host has one "
                "agent, so give each machine a join file and a state directory of its own"
            )
        # Whom we took over from is alive, or the API server was put back to an older copy of its data.
        periods = TRUST_PERIODS if holder == self._taken_from else WATCHED_PERIODS
        if now - known.seen_at < periods * period_s:
            return known
        self._taken_from = holder
        return None

    def _still_watched(self, period_s: float) -> _Rival | None:
        """Return the rival that is watched, although its Lease is gone: who is alive makes it anew."""
        known = self._rival
        if known is None or self._clock.monotonic() - known.seen_at >= WATCHED_PERIODS * period_s:
            return None
        return known

    def _took_us_for_gone(self, holder: str, period_s: float) -> bool:
        """Tell whether another took our Lease without having watched it for long enough: it ends once we renew it."""
        is_of_our_group = holder.partition("/")[0] == self._us.identity.partition("/")[0]
        watched = holder == self._taken_from or self.age_s() >= WATCHED_PERIODS * period_s
        if not self.undisputed.is_set() or not is_of_our_group or watched:
            return False
        log.warning("heartbeat_taken_by_a_copy", lease=self._name, holder=holder)
        return True
