"""A host is better without taints that a guest would rather avoid: 100 without any, half with one, a third with two."""

import numpy as np

from innkeeper.domain.scheduling.fleet import Fleet, Rows
from innkeeper.domain.scheduling.request import Effect, Request
from innkeeper.domain.scheduling.rules.rule import ScoreRule, Scores
from innkeeper.domain.scheduling.rules.taints import untolerated


def _table(request: Request, fleet: Fleet) -> Scores:
    disliked = (len(untolerated(request, taints, Effect.PREFER_NO_SCHEDULE)) for taints in fleet.taint_sets)
    return np.array([100.0 / (1 + count) for count in disliked])


def _scores(request: Request, rows: Rows) -> Scores:
    fleet = rows.fleet
    key = ("softTaints", request.tolerations)
    table = fleet.memo(key, len(fleet.taint_sets), lambda: _table(request, fleet))
    return table[rows.of(fleet.taints)]


RULE = ScoreRule(name="softTaints", scores=_scores)
