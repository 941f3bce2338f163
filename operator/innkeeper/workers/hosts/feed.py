"""A feed of changes of one kind that listeners may join at any time.

An informer runs from the start of the process, its listeners only once this process leads: who joins is told of
everything that is there first, as if it had come just now.
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from innkeeper.kube.informer import Change, Key
from innkeeper.views.meta import View

V = TypeVar("V", bound=View)
Listener = Callable[[Change[V]], None]


class Feed(Generic[V]):
    """Passes each change on to every listener, in the order in which they joined."""

    def __init__(self) -> None:
        self._listeners: list[Listener[V]] = []

    def __call__(self, change: Change[V]) -> None:
        """Tell all listeners of a change.

        Raises:
            ExceptionGroup: some could not take it; the others were told all the same.
        """
        errors: list[Exception] = []
        for listener in self._listeners:
            try:
                listener(change)
            except Exception as error:  # noqa: BLE001 - raised once all were told
                errors.append(error)
        if errors:
            raise ExceptionGroup("a change could not be taken", errors)

    def join(self, listener: Listener[V], *, known: Mapping[Key, V]) -> None:
        """Tell a listener of all that is known, and from now on of every change."""
        for key, view in list(known.items()):
            listener(Change(key, None, view))
        self._listeners.append(listener)
