"""Who waits for what: guests that cannot go on, by the thing whose change could help them. Room on hosts: see `backlog`.

A guest waits for a set of causes and stops waiting for all of them when one comes. Causes are plain strings made by the
functions below, so that both sides name them alike.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice

from innkeeper.kube.informer import Key
from innkeeper.state.backlog import Rank
from innkeeper.state.line import Line

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
        self._lines: defaultdict[str, Line] = defaultdict(Line)
        self._causes: dict[Key, frozenset[str]] = {}

    def wait(
        self, guest: Key, causes: Iterable[str], *, rank: Rank, needs: Mapping[str, int] | None = None
    ) -> list[str]:
        """Note what a guest waits for, and how many of what comes one by one; one, where `needs` says nothing.

        Return what others may have now: what it waited for in turn and does not any more, or needs more of than was
        known, so that it cannot be served yet.
        """
        wanted, before = frozenset(causes), self._causes.get(guest, frozenset())
        passed_on = self._leave(guest, before - wanted)
        if wanted:
            self._causes[guest] = wanted
        else:
            self._causes.pop(guest, None)
        for cause in wanted:
            if self._lines[cause].put(guest, rank, need=(needs or {}).get(cause, 1)):
                passed_on.append(cause)
        return passed_on

    def pass_by(self, cause: str, guests: Iterable[Key]) -> None:
        """Have guests wait for a cause no longer that they could not use; for others, if any, they still wait."""
        for guest in guests:
            if cause in self._causes.get(guest, ()):
                self._causes[guest] -= {cause}
                self._leave(guest, [cause])

    def forget(self, guest: Key) -> list[str]:
        """The guest waits no longer; return what it waited for in turn: whoever stands behind it has a look."""
        return self._leave(guest, self._causes.pop(guest, frozenset()))

    def __len__(self) -> int:
        return len(self._causes)

    def wake(self, cause: str) -> list[Key]:
        """Return the guests that wait for a cause, in their order."""
        return list(self._line(cause))

    def is_awaited(self, cause: str) -> bool:
        """Tell whether anybody waits for a cause: else nobody need count what is free."""
        return bool(self._lines.get(cause))

    def first(self, cause: str, free: int = 1) -> list[Key]:
        """Return the guests whose turn it is while so many are free: the very first one in any case sees for itself."""
        line = self._line(cause)
        return list(dict.fromkeys((*islice(line, 1), *line.served(free))))

    def before(self, cause: str, guest: Key, rank: Rank) -> int:
        """Return how many others wait for a cause and have their turn before a guest."""
        return self._line(cause).before(guest, rank)

    def needed_before(self, cause: str, guest: Key, rank: Rank) -> int:
        """Return how many the others need that have their turn before a guest."""
        return self._line(cause).needed_before(guest, rank)

    def left(self, cause: str, guest: Key, rank: Rank, *, free: int) -> int:
        """Return how many of so many free ones those leave that have their turn before a guest."""
        return self._line(cause).left(guest, rank, free=free)

    def _line(self, cause: str) -> Line:
        return self._lines.get(cause) or Line()

    def _leave(self, guest: Key, causes: Iterable[str]) -> list[str]:
        for cause in causes:
            self._lines[cause].drop(guest)
            if not self._lines[cause]:
                del self._lines[cause]
        return [cause for cause in causes if cause.startswith(_IN_TURN)]
