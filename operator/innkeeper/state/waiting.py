"""Who waits for what: guests that cannot go on, by the thing whose change could help them. Room on hosts: see `backlog`.

A guest waits for a set of causes and stops waiting for all of them when one comes. Causes are plain strings made by the
functions below, so that both sides name them alike.
"""

from collections import defaultdict
from collections.abc import Iterable
from heapq import nsmallest

from innkeeper.kube.informer import Key
from innkeeper.state.backlog import Rank

_POOL, _LIMIT = "pool/", "limit/"
_IN_TURN = (_POOL, _LIMIT)


def flavor(name: str) -> str:
    """Name the cause: a Flavor appears or changes."""
    return f"flavor/{name}"


def image(namespace: str, name: str) -> str:
    """Name the cause: an Image appears or changes."""
    return f"image/{namespace}/{name}"


def pool(name: str) -> str:
    """Name the cause: an IPPool has a free address again, which is offered to one guest after the other."""
    return f"{_POOL}{name}"


def spec_of_pool(name: str) -> str:
    """Name the cause: an IPPool appears or changes."""
    return f"pool-spec/{name}"


def any_pool() -> str:
    """Name the cause: some IPPool appears or changes, or the Clusters that pools choose by their labels."""
    return "pools"


def limit(pool_name: str, namespace: str) -> str:
    """Name the cause: a namespace may hold one more address of a pool, which is offered as free ones are."""
    return f"{_LIMIT}{pool_name}/{namespace}"


def line_of(cause: str) -> tuple[str, str | None]:
    """Return what is waited for in turn: addresses of a pool, of one namespace where its limit is what hinders."""
    kind, _, rest = cause.partition("/")
    pool_name, _, namespace = rest.partition("/")
    return pool_name, namespace if f"{kind}/" == _LIMIT else None


def address(name: str) -> str:
    """Name the cause: an IPAddress is released, or gone."""
    return f"address/{name}"


def mac(cluster: str, address_: str) -> str:
    """Name the cause: no guest of a cluster has this MAC any more."""
    return f"mac/{cluster}/{address_}"


def host_record(host: str) -> str:
    """Name the cause: it was read what a host holds."""
    return f"record/{host}"


class Waiting:
    """Guests by cause. What comes one by one, as a free address, is offered in turn: see `first`."""

    def __init__(self) -> None:
        self._guests: defaultdict[str, dict[Key, Rank]] = defaultdict(dict)
        self._causes: dict[Key, frozenset[str]] = {}

    def wait(self, guest: Key, causes: Iterable[str], *, rank: Rank) -> list[str]:
        """Note what a guest waits for; return what it waited for in turn until now and does not any more."""
        wanted = frozenset(causes)
        left = [cause for cause in self.forget(guest) if cause not in wanted]
        if wanted:
            self._causes[guest] = wanted
        for cause in wanted:
            self._guests[cause][guest] = rank
        return left

    def forget(self, guest: Key) -> list[str]:
        """The guest waits no longer; return what it waited for in turn: whoever stands behind it has a look."""
        causes = self._causes.pop(guest, frozenset())
        for cause in causes:
            self._guests[cause].pop(guest, None)
            if not self._guests[cause]:
                del self._guests[cause]
        return [cause for cause in causes if cause.startswith(_IN_TURN)]

    def wake(self, cause: str) -> list[Key]:
        """Return the guests that wait for a cause, in their order."""
        waiting = self._guests.get(cause, {})
        return sorted(waiting, key=lambda guest: (waiting[guest], guest))

    def first(self, cause: str, count: int = 1) -> list[Key]:
        """Return the guests whose turn it is, when so many can be served."""
        waiting = self._guests.get(cause, {})
        return nsmallest(count, waiting, key=lambda guest: (waiting[guest], guest))

    def before(self, cause: str, guest: Key, rank: Rank) -> int:
        """Return how many others wait for a cause and have their turn before a guest."""
        waiting = self._guests.get(cause, {})
        return sum((other_rank, other) < (rank, guest) for other, other_rank in waiting.items())
