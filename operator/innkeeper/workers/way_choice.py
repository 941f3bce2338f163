"""Which of a guest's ways is taken, and with which host: the first by the names of its pools whose clusters have room.

Asks hosts seldom: mostly the first way has one; what fits nowhere is asked once, in words that equal guests share; and
among many ways halves are asked, not each of them. Decides nothing itself and promises nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from innkeeper.domain.scheduling.cycle import NoHostFits, Placement
from innkeeper.domain.scheduling.request import Request
from innkeeper.workers.reach import Way

Decide = Callable[[Request], Placement | NoHostFits]


@dataclass(frozen=True)
class TakenWay:
    """A way, and the host in one of its clusters."""

    way: Way
    placement: Placement


@dataclass(frozen=True)
class Asked:
    """The last that was asked of hosts, and what came of it."""

    request: Request
    found: TakenWay | NoHostFits


def choose_way(
    asks: Request, ways: Iterator[Way], *, served: frozenset[str] | None, decide: Decide
) -> Asked | None:
    """Choose among ways; None where there is none. `served` are the clusters where any of them may lead.

    A hard spread counts the places where the guest could be, so it is asked of all ways at once.
    """
    first = next(ways, None)
    if first is None:
        return None
    if asks.spread:
        return _of_all(asks, [first, *ways], decide)
    alone = _of_all(asks, [first], decide)
    if isinstance(alone.found, TakenWay) or served == first.clusters:
        return alone
    anywhere = replace(asks, clusters=served)
    found = decide(anywhere)
    if isinstance(found, NoHostFits):
        return Asked(anywhere, found)
    return _first_with_room(asks, [first, *ways], decide)


def clusters_of(ways: Iterable[Way]) -> frozenset[str] | None:
    """Return the clusters of all these ways together."""
    found = [each.clusters for each in ways]
    return None if None in found else frozenset[str]().union(*(each for each in found if each is not None))


def _of_all(asks: Request, ways: Sequence[Way], decide: Decide) -> Asked:
    """Ask all these ways at once; the first one that leads to the host is taken."""
    request = replace(asks, clusters=clusters_of(ways))
    found = decide(request)
    if isinstance(found, NoHostFits):
        return Asked(request, found)
    return Asked(request, TakenWay(next(each for each in ways if each.serves(found.cluster)), found))


def _first_with_room(asks: Request, ways: Sequence[Way], decide: Decide) -> Asked:
    """Find the first way that has a host, where the very first has none: more ways never have less room."""
    best = _of_all(asks, ways, decide)
    without, within = 1, len(ways)
    while isinstance(best.found, TakenWay) and within - without > 1:
        middle = (without + within) // 2
        half = _of_all(asks, ways[:middle], decide)
        if isinstance(half.found, TakenWay):
            best, within = half, middle
        else:
            without = middle
    return best
