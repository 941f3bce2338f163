"""How full a host would be, by the strategy of its cluster: spreading takes the emptiest, packing the fullest."""

import numpy as np

from innkeeper.domain.scheduling.facts import Strategy
from innkeeper.domain.scheduling.fleet import Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules import labels
from innkeeper.domain.scheduling.rules.rule import ScoreRule, Scores


def _scores(request: Request, rows: Rows) -> Scores:
    fleet = rows.fleet
    cpu = (rows.of(fleet.free[0]) - request.amounts.cpu_millis) / np.maximum(rows.of(fleet.allocatable[0]), 1)
    memory = (rows.of(fleet.free[1]) - request.amounts.memory_bytes) / np.maximum(
        rows.of(fleet.allocatable[1]), 1
    )
    unpromised: Scores = np.clip((cpu + memory) * 50.0, 0.0, 100.0)
    packed = labels.in_clusters(rows, "packed", lambda cluster: cluster.strategy is Strategy.PACK)
    return np.where(packed, 100.0 - unpromised, unpromised) if packed.any() else unpromised


RULE = ScoreRule(name="strategy", scores=_scores)
