"""A host is better without taints that a guest would rather avoid: 100 without any, half with one, a third with two."""

from collections.abc import Iterator

import numpy as np

from innkeeper.domain.scheduling.columns import RowNumbers
from innkeeper.domain.scheduling.fleet import Fleet, Rows
from innkeeper.domain.scheduling.request import Effect, Request
from innkeeper.domain.scheduling.rules.rule import ScoreRule, Scores
from innkeeper.domain.scheduling.rules.taints import untolerated


def _table(request: Request, fleet: Fleet) -> Scores:
    disliked = (len(untolerated(request, taints, Effect.PREFER_NO_SCHEDULE)) for taints in fleet.taint_sets)
    return np.array([100.0 / (1 + count) for count in disliked])


def _known(request: Request, fleet: Fleet) -> Scores:
    """Return the score of each set of taints."""
    key = ("softTaints", request.tolerations)
    return fleet.memo(key, len(fleet.taint_sets), lambda: _table(request, fleet))


def _scores(request: Request, rows: Rows) -> Scores:
    return _known(request, rows.fleet)[rows.of(rows.fleet.taints)]


def _seeks(request: Request, part: Rows) -> Iterator[RowNumbers]:
    """Yield hosts without such taints, then those with one, and so on."""
    fleet, table = part.fleet, _known(request, part.fleet)
    if _scores(request, part).max() >= table.max():
        return
    for score in np.unique(table)[::-1]:
        yield np.flatnonzero(table[fleet.all_rows().of(fleet.taints)] == score)


RULE = ScoreRule(name="softTaints", scores=_scores, seeks=_seeks)
