"""What rules about labels share: one requirement over many rows, and a set of clusters over many rows."""

from collections.abc import Callable

import numpy as np

from innkeeper.domain.scheduling.columns import ABSENT, Bools
from innkeeper.domain.scheduling.facts import ClusterFacts
from innkeeper.domain.scheduling.fleet import Fleet, Rows
from innkeeper.domain.scheduling.selectors import Operator, Requirement
from innkeeper.views.placement import CLUSTER_TOPOLOGY


def mask(requirement: Requirement, rows: Rows) -> Bools:
    """Tell for each row whether its host's label is as required."""
    ids = rows.ids(requirement.key)
    if ids is None:
        return np.full(len(rows), requirement.allows(None))
    there: Bools = ids != ABSENT
    if requirement.operator is Operator.EXISTS:
        return there
    if requirement.operator is Operator.DOES_NOT_EXIST:
        return ~there
    column = rows.fleet.labels.column(requirement.key)
    found = np.zeros(len(rows), dtype=np.bool_)
    for value in requirement.values:
        found |= ids == column.id_of(value)  # type: ignore[union-attr] # there are ids, so there is a column
    return found if requirement.operator is Operator.IN else ~found


def in_clusters(rows: Rows, key: object, allowed: Callable[[ClusterFacts], bool]) -> Bools:
    """Tell for each row whether its cluster is allowed; `key` names the question, whose answer is remembered."""
    fleet = rows.fleet
    ids = rows.ids(CLUSTER_TOPOLOGY)
    if ids is None:
        return np.zeros(len(rows), dtype=np.bool_)
    return fleet.memo(key, fleet.shape, lambda: _table(fleet, allowed))[ids]


def _table(fleet: Fleet, allowed: Callable[[ClusterFacts], bool]) -> Bools:
    """Return the answer by number of the cluster; the last one stands for rows without a host."""
    column = fleet.labels.column(CLUSTER_TOPOLOGY)
    names = column.values if column else []
    facts = (fleet.clusters.get(each) or ClusterFacts(name=each) for each in names)
    return np.array([*(allowed(each) for each in facts), False], dtype=np.bool_)
