"""A group of guests may wish to lie evenly: of the hosts compared, the emptiest place gets 100 and the fullest 0.

A host without the label that tells places gets 0. Several wishes count alike.
"""

from collections.abc import Iterator

import numpy as np

from innkeeper.domain.scheduling.columns import Bools, RowNumbers
from innkeeper.domain.scheduling.fleet import PRESENT, Rows
from innkeeper.domain.scheduling.request import Request, Term
from innkeeper.domain.scheduling.rules.affinity import has_place
from innkeeper.domain.scheduling.rules.rule import ScoreRule, Scores


def _scores(request: Request, rows: Rows) -> Scores:
    total = np.zeros(len(rows))
    for term in request.spread_wishes:
        total += _one(term, rows)
    return total / len(request.spread_wishes)


def _one(term: Term, rows: Rows) -> Scores:
    placed = has_place(term, rows)
    if not placed.any():
        return np.zeros(len(rows))
    counts = rows.counts(rows.fleet.crowd.members(term.group), term.topology_key)
    least, most = int(counts[placed].min()), int(counts[placed].max())
    emptiness = (most - counts) * (100.0 / (most - least)) if most > least else np.full(len(rows), 100.0)
    return np.where(placed, emptiness, 0.0)


def _seeks(request: Request, part: Rows) -> Iterator[RowNumbers]:
    """Yield the emptiest places, then those that are less empty."""
    if _is_empty(request, part).any():
        return
    rows = part.fleet.all_rows()
    present = Rows(part.fleet, rows.where((rows.of(part.fleet.flags) & PRESENT) != 0))
    emptiness = _scores(request, present)
    for score in np.unique(emptiness)[::-1]:
        yield present.where(emptiness == score)


def _is_empty(request: Request, rows: Rows) -> Bools:
    found = np.ones(len(rows), dtype=np.bool_)
    for term in request.spread_wishes:
        found &= has_place(term, rows)
        found &= rows.counts(rows.fleet.crowd.members(term.group), term.topology_key) == 0
    return found


RULE = ScoreRule(
    name="softSpread",
    scores=_scores,
    applies=lambda request, _: bool(request.spread_wishes),
    seeks=_seeks,
)
