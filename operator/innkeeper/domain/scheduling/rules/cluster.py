"""A guest may name its cluster."""

from innkeeper.domain.scheduling.columns import Bools
from innkeeper.domain.scheduling.fleet import Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules import labels
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase
from innkeeper.domain.scheduling.selectors import Operator, Requirement
from innkeeper.views.placement import CLUSTER_TOPOLOGY


def _mask(request: Request, rows: Rows) -> Bools:
    wanted = Requirement(CLUSTER_TOPOLOGY, Operator.IN, frozenset((request.cluster or "",)))
    return labels.mask(wanted, rows)


RULE = FilterRule(
    name="cluster",
    reason="OtherCluster",
    phrase=Phrase("is in another cluster", "are in another cluster"),
    mask=_mask,
    applies=lambda request, _: request.cluster is not None,
)
