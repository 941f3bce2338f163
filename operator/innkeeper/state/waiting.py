"""Who waits for what: guests that cannot go on, by the thing whose change could help them. Room on hosts: see `backlog`.

A guest waits for a set of causes and stops waiting for all of them when one comes. Causes are plain strings made by the
functions below, so that both sides name them alike.
"""

from collections import defaultdict
from collections.abc import Iterable

from innkeeper.kube.informer import Key


def flavor(name: str) -> str:
    """Name the cause: a Flavor appears or changes."""
    return f"flavor/{name}"


def image(namespace: str, name: str) -> str:
    """Name the cause: an Image appears or changes."""
    return f"image/{namespace}/{name}"


def pool(name: str) -> str:
    """Name the cause: an IPPool appears, changes, or has a free address again."""
    return f"pool/{name}"


class Waiting:
    """Guests by cause."""

    def __init__(self) -> None:
        self._guests: defaultdict[str, dict[Key, None]] = defaultdict(dict)  # dicts keep the order of arrival
        self._causes: dict[Key, frozenset[str]] = {}

    def wait(self, guest: Key, causes: Iterable[str]) -> None:
        """Note what a guest waits for; what it waited for before no longer counts."""
        self.forget(guest)
        self._causes[guest] = frozenset(causes)
        for cause in self._causes[guest]:
            self._guests[cause][guest] = None

    def forget(self, guest: Key) -> None:
        """The guest waits no longer."""
        for cause in self._causes.pop(guest, ()):
            self._guests[cause].pop(guest, None)
            if not self._guests[cause]:
                del self._guests[cause]

    def wake(self, cause: str) -> list[Key]:
        """Return the guests that wait for a cause, the longest waiting first."""
        return list(self._guests.get(cause, ()))
