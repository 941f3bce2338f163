"""A guest may wish to be where certain guests are, or are not: the weights of wishes met, as a part of all weights."""

from collections.abc import Iterator

import numpy as np

from innkeeper.domain.scheduling.columns import RowNumbers
from innkeeper.domain.scheduling.fleet import Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules.rule import ScoreRule, Scores


def _scores(request: Request, rows: Rows) -> Scores:
    crowd = rows.fleet.crowd
    met = np.zeros(len(rows))
    for wish in request.wishes:
        there = rows.counts(crowd.members(wish.term.group), wish.term.topology_key) > 0
        met += there * float(wish.weight)
    return met * (100.0 / sum(abs(wish.weight) for wish in request.wishes))


def _seeks(request: Request, part: Rows) -> Iterator[RowNumbers]:
    """Yield where most is met, then where less is, as long as it is more than in the part."""
    most = sum(wish.weight for wish in request.wishes if wish.weight > 0)
    here = _scores(request, part).max()
    if here >= most * (100.0 / sum(abs(wish.weight) for wish in request.wishes)):
        return
    met = _scores(request, part.fleet.all_rows())
    for score in np.unique(met[met > here])[::-1]:
        yield np.flatnonzero(met == score)


RULE = ScoreRule(
    name="softAffinity",
    scores=_scores,
    lowest=-100.0,
    weight=2.0,
    applies=lambda request, _: bool(request.wishes),
    seeks=_seeks,
)
