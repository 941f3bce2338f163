"""A guest may wish to be where certain guests are, or are not: the weights of wishes met, as a part of all weights."""

import numpy as np

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


RULE = ScoreRule(
    name="softAffinity",
    scores=_scores,
    lowest=-100.0,
    weight=2.0,
    applies=lambda request, _: bool(request.wishes),
)
