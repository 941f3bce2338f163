"""A group of guests may wish to lie evenly: of the hosts compared, the emptiest place gets 100 and the fullest 0.

A host without the label that tells places gets 0. Several wishes count alike.
"""

import numpy as np

from innkeeper.domain.scheduling.fleet import Rows
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


RULE = ScoreRule(name="softSpread", scores=_scores, applies=lambda request, _: bool(request.spread_wishes))
