"""Sorted pages of a list that changes: a page begins behind the last item of the one before, wherever that is by now.

So an item that comes or goes between two pages moves no other one to where it would be missed or seen twice.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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


def page(
    items: Iterable[Item], place: Callable[[Item], Place], *, limit: int, after: str, reverse: bool = False
) -> Page[Item]:
    """Return the first `limit` items behind the place that `after` tells of.

    Raises:
        QueryInvalidError: `after` is not the `continue` of such a list.
    """
    ordered = sorted(items, key=place, reverse=reverse)
    if after:
        last = _place(after)
        try:
            ordered = [each for each in ordered if (place(each) < last if reverse else place(each) > last)]
        except TypeError as error:
            raise QueryInvalidError("this continue belongs to a list in another order") from error
    shown = ordered[:limit]
    remaining = len(ordered) - len(shown)
    return Page(shown, remaining, _token(place(shown[-1])) if remaining else "")


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
