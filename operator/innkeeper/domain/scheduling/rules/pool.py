"""A guest's pools, and addresses that it holds already, reach only some clusters; and a pool may have no address left.

Two rules, so that the counts tell which of the two it is.
"""

import numpy as np

from innkeeper.domain.scheduling.columns import Bools
from innkeeper.domain.scheduling.fleet import Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules import labels
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase


def _served(request: Request, rows: Rows) -> Bools:
    served = request.clusters or frozenset()
    return labels.in_clusters(rows, ("pool", served), lambda cluster: cluster.name in served)


SERVED = FilterRule(
    name="pool",
    reason="PoolNotServing",
    phrase=Phrase(
        "is in a cluster where its pools give it no address",
        "are in clusters where its pools give it no address",
    ),
    mask=_served,
    applies=lambda request, _: request.clusters is not None,
)
FREE = FilterRule(
    name="addresses",
    reason="NoFreeAddress",
    phrase=Phrase("has no free address in its pools", "have no free address in its pools"),
    mask=lambda _, rows: np.zeros(len(rows), dtype=np.bool_),
    applies=lambda request, _: not request.addresses_free,
)
