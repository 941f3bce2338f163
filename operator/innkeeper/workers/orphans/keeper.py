"""What the leading operator does about orphans by itself: tells of them, and adopts them where the policy says so.

It never destroys one: that takes a person's word.
"""

import structlog

from innkeeper.clock import Clock, rfc3339
from innkeeper.domain.names import API_VERSION
from innkeeper.domain.reasons import OrphanPolicy
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError
from innkeeper.kube.resources import EVENTS, HOSTS
from innkeeper.state.subset import Subset
from innkeeper.workers.orphans.finding import PERIOD_S, Orphan, Orphans, OrphanState
from innkeeper.workers.orphans.word import OrderUnknownError, OrphanWord

log = structlog.get_logger()

AGAIN_S = 600.0  # after an orphan could not be adopted: mostly a person has to change something first
EVENTS_NAMESPACE = "default"  # where Events of objects without a namespace lie
REASON = "OrphanFound"


class OrphanKeeper:
    """Looks after orphans while this process leads."""

    def __init__(
        self,
        client: Client,
        subset: Subset,
        *,
        orphans: Orphans,
        policy: OrphanPolicy,
        clock: Clock,
        period_s: float = PERIOD_S,
    ) -> None:
        self._client = client
        self._subset = subset
        self._orphans = orphans
        self._word = OrphanWord(client, subset, orphans)
        self._policy = policy
        self._clock = clock
        self._period_s = period_s
        self._told: set[tuple[str, str]] = set()
        self._left_until: dict[tuple[str, str], float] = {}  # on the monotonic clock

    async def run(self) -> None:
        """Look after them for ever."""
        while True:
            await self._clock.sleep(self._period_s)
            await self.look()

    async def look(self) -> None:
        """Tell of new orphans, and adopt those that may be."""
        orphans = {(each.guest_id, each.host): each for each in self._orphans.all()}
        self._told &= orphans.keys()
        now = self._clock.monotonic()
        self._left_until = {
            key: until for key, until in self._left_until.items() if key in orphans and until > now
        }
        for key, orphan in orphans.items():
            if key in self._left_until:
                continue
            try:
                await self._look_at(orphan)
            except OrderUnknownError as error:
                log.info("orphan_put_off", guest=orphan.guest_id, message=error.message)
            except InnkeeperError as error:
                self._left_until[key] = now + AGAIN_S
                log.warning("orphan_left", guest=orphan.guest_id, reason=error.reason, message=error.message)

    async def _look_at(self, orphan: Orphan) -> None:
        key = (orphan.guest_id, orphan.host)
        if key not in self._told:
            await self._tell(orphan)
            self._told.add(key)
        if self._policy is OrphanPolicy.ADOPT and self._is_latest(orphan):
            await self._word.adopt(orphan)

    def _is_latest(self, orphan: Orphan) -> bool:
        """Tell whether no host holds a later order of the same guest, and nobody wants it gone.

        A later one on a host that keeps its disk alone tells of a host that nobody knows to hold it: a person has to say.
        """
        found = self._orphans.find(orphan.namespace, orphan.guest_id)
        is_first = found[:1] == [orphan] and all(each.rank <= orphan.rank for each in found)
        return is_first and self._orphans.state_of(orphan) is OrphanState.HELD

    async def _tell(self, orphan: Orphan) -> None:
        """Write an Event on the Host; its name lets it exist once, whichever operator writes it."""
        host = self._subset.hosts.get(orphan.host)
        if host is None:
            return
        now = rfc3339(self._clock.now())
        body = {
            "metadata": {"name": f"{orphan.host}.orphan.{orphan.guest_id}", "namespace": EVENTS_NAMESPACE},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": HOSTS.kind,
                "name": orphan.host,
                "uid": host.metadata.uid,
            },
            "reason": REASON,
            "message": _message(orphan),
            "type": "Warning",
            "source": {"component": "innkeeper-operator"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._client.create(EVENTS, body, namespace=EVENTS_NAMESPACE)
        except AlreadyExistsError:
            log.debug("orphan_told_already", guest=orphan.guest_id)


def _message(orphan: Orphan) -> str:
    name = f"{orphan.namespace}/{orphan.name}"
    if orphan.superseded:
        return (
            f"the disk of the guest {name} is kept here, which lives on another host and has no Guest object; see who "
            f"holds it with: kubectl guest orphans -n {orphan.namespace} -o wide"
        )
    return (
        f"the guest {name} runs here and has no Guest object; bring it back with: kubectl guest adopt {orphan.guest_id} "
        f"-n {orphan.namespace}"
    )
