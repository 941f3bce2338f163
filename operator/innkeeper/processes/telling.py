"""What the leader's metrics are read from: the subset, and sums that are kept beside it.

All is read when somebody asks, so nothing is counted while nobody looks. Nothing here decides or writes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from innkeeper import __version__
from innkeeper.clock import Clock
from innkeeper.domain.reasons import (
    NO_REASON,
    OTHER_REASON,
    ConditionType,
    HostReason,
    ImageReason,
    counted_as,
)
from innkeeper.kube.conditions import find
from innkeeper.state.standings import Standings
from innkeeper.state.subset import Subset
from innkeeper.telemetry.definition import by_value
from innkeeper.telemetry.metrics import OperatorMetrics
from innkeeper.views.catalog import Image
from innkeeper.views.host import Host
from innkeeper.views.network import IPPool

Sample = tuple[Sequence[str], float]


def tell(metrics: OperatorMetrics, subset: Subset, standings: Standings, clock: Clock) -> None:
    """Have the metrics read what this leader knows, from now on."""
    metrics.hosts.samples = lambda: by_value(hosts_by_reason(subset))
    metrics.agents.samples = lambda: by_value(agents_by_version(subset.hosts.values()))
    metrics.images.samples = lambda: by_value(images_by_reason(subset.images.values()))
    metrics.images_source_unreachable.set_function(lambda: float(unreachable(subset.images.values())))
    metrics.pool_addresses.samples = lambda: pool_addresses(subset.pools)
    metrics.guests.samples = lambda: by_value(standings.by_reason)
    metrics.guests_stalled.samples = lambda: by_value(standings.stalled)
    metrics.guest_unready.samples = lambda: by_value(standings.unready_s(clock.now()))
    metrics.guests_waiting_for_room.set_function(lambda: float(len(subset.backlog)))


def hosts_by_reason(subset: Subset) -> Mapping[str, int]:
    """Return how many hosts there are by the reason of Ready; reasons without a host are told, too."""
    return _by_reason((subset.host_reason(name) for name in subset.hosts), HostReason)


def agents_by_version(hosts: Iterable[Host]) -> Mapping[str, int]:
    """Return how many hosts have an agent of this version, of another one, or of none that is known.

    The versions themselves are what agents say: as values of a label they would have no bound.
    """
    found: Counter[str] = Counter()
    for host in hosts:
        if host.spec.lost is None:
            version = host.status.agent_version
            found["unknown" if version is None else "same" if version == __version__ else "other"] += 1
    return {each: found[each] for each in ("same", "other", "unknown")}


def images_by_reason(images: Iterable[Image]) -> Mapping[str, int]:
    """Return how many Images there are by the reason of Ready; reasons without an Image are told, too."""
    ready = (find(each.status.conditions, ConditionType.READY) for each in images)
    return _by_reason((each.reason if each is not None else None for each in ready), ImageReason)


def unreachable(images: Iterable[Image]) -> int:
    """Return how many Images are Ready while their source cannot be looked at."""
    told = (find(each.status.conditions, ConditionType.SOURCE_UNREACHABLE) for each in images)
    return sum(each is not None and each.status == "True" for each in told)


def pool_addresses(pools: Mapping[str, IPPool]) -> Iterable[Sample]:
    """Yield the counters of each IPPool that was counted."""
    for name, pool in pools.items():
        status = pool.status
        if status.observed_generation < 0:
            continue
        yield (name, "total"), float(status.total)
        yield (name, "free"), float(status.free)
        yield (name, "used"), float(status.used)
        yield (name, "quarantined"), float(status.quarantined)
        yield (name, "outside"), float(status.outside)


def _by_reason(reasons: Iterable[str | None], known: type[StrEnum]) -> Mapping[str, int]:
    found = Counter(counted_as(each or "", known) for each in reasons)
    return {str(each): found[str(each)] for each in (*known, NO_REASON, OTHER_REASON)}
