"""The forms of a rule: plain data, so that a list of rules is all there is to register.

A rule is asked about many rows at once and answers with an array. The same answer serves the decision and the
explanation: there is no second engine.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from innkeeper.domain.scheduling.columns import Bools, RowNumbers
from innkeeper.domain.scheduling.fleet import Fleet, Rows
from innkeeper.domain.scheduling.request import Request

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that follow "1 host" and "3 hosts" in a message."""

    one: str
    many: str

    def after(self, count: int) -> str:
        """Return the count with the words."""
        return f"{count} {self.one if count == 1 else self.many}"


@dataclass(frozen=True, kw_only=True)
class FilterRule:
    """A rule that rules hosts out, known by its `name` and its `reason` (CamelCase); no two have the same.

    `mask` tells for each row whether the host passes. `applies` tells whether the rule can rule anything out for a
    request at all. `phrases` groups failed hosts where one phrase for all would say too little; `detail` says more of
    one host.
    """

    name: str
    reason: str
    phrase: Phrase
    mask: Callable[[Request, Rows], Bools]
    applies: Callable[[Request, Fleet], bool] = lambda _, __: True
    phrases: Callable[[Request, Rows], Counter[Phrase]] | None = None
    detail: Callable[[Request, Fleet, int], str] | None = None

    def count(self, request: Request, failed: Rows) -> Counter[Phrase]:
        """Return the phrases for hosts that this rule ruled out, with how many each is about."""
        if self.phrases is not None:
            return self.phrases(request, failed)
        return Counter({self.phrase: len(failed)})

    def tell(self, request: Request, fleet: Fleet, row: int) -> str:
        """Return why one host is ruled out."""
        if self.detail is not None:
            return self.detail(request, fleet, row)
        (phrase,) = self.count(request, Rows(fleet, np.array([row], dtype=np.intp)))
        return phrase.one


@dataclass(frozen=True, kw_only=True)
class ScoreRule:
    """A rule that ranks the hosts that fit: a score from `lowest` to `highest` for each row, more is better.

    Where many fit, only a part of them is scored. `seeks` sees that part, and yields the rows that this rule likes best,
    then the next best, until the part has some of them; nothing where it has already.
    """

    name: str
    scores: Callable[[Request, Rows], Scores]
    lowest: float = 0.0
    highest: float = 100.0
    weight: float = 1.0
    applies: Callable[[Request, Fleet], bool] = lambda _, __: True
    seeks: Callable[[Request, Rows], Iterator[RowNumbers]] | None = None
