"""Sorted pages of a list that changes: a page begins behind the last item of the one before, wherever that is by now.

So an item that comes or goes between two pages moves no other one to where it would be missed or seen twice. What lies
before a page is dropped as it is seen, and of the rest no more is kept in order than one page shows.
"""

import base64
import binascii
import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Generic, TypeVar

from innkeeper.domain.query.selectors import QueryInvalidError

Item = TypeVar("Item")
Place = tuple[str | int, ...]  # what items are sorted by, the name last


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some items, how many come after them, and what to ask with for those."""

    items: list[Item]
    remaining: int
    next: str


class Paging(Generic[Item]):
    """Makes one page of items that are taken a part at a time: the first `limit` behind what `after` tells of."""

    def __init__(
        self, place: Callable[[Item], Place], *, limit: int, after: str, reverse: bool = False
    ) -> None:
        """Begin a page.

        Raises:
            QueryInvalidError: `after` is not the `continue` of such a list.
        """
        self._place = place
        self._limit = limit
        self._reverse = reverse
        self._last = _place(after) if after else None
        self._first: list[tuple[Place, Item]] = []
        self._behind = 0

    def take(self, items: Iterable[Item]) -> None:
        """Look at some of the items.

        Raises:
            QueryInvalidError: `after` is not the `continue` of such a list.
        """
        choose = heapq.nlargest if self._reverse else heapq.nsmallest
        try:
            self._first = choose(self._limit, chain(self._first, self._placed(items)), key=itemgetter(0))
        except TypeError as error:
            raise QueryInvalidError("this continue belongs to a list in another order") from error

    def _placed(self, items: Iterable[Item]) -> Iterator[tuple[Place, Item]]:
        last = self._last
        for item in items:
            place = self._place(item)
            if last is None or (place < last if self._reverse else place > last):
                self._behind += 1
                yield place, item

    def page(self) -> Page[Item]:
        """Return the page of all that was taken."""
        remaining = self._behind - len(self._first)
        return Page(
            [item for _, item in self._first], remaining, _token(self._first[-1][0]) if remaining else ""
        )


def page(
    items: Iterable[Item], place: Callable[[Item], Place], *, limit: int, after: str, reverse: bool = False
) -> Page[Item]:
    """Return the page of items that are looked at in one go.

    Raises:
        QueryInvalidError: `after` is not the `continue` of such a list.
    """
    paging = Paging(place, limit=limit, after=after, reverse=reverse)
    paging.take(items)
    return paging.page()


def _token(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _place(token: str) -> Place:
    try:
        found = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError) as error:
        raise QueryInvalidError("continue is not one that a page of this list ended with") from error
    if not isinstance(found, list) or not all(isinstance(each, str | int) for each in found):
        raise QueryInvalidError("continue is not one that a page of this list ended with")
    return tuple(found)
