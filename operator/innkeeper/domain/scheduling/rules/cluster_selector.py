"""A guest may name labels that its Cluster must carry."""

from innkeeper.domain.scheduling.columns import Bools
from innkeeper.domain.scheduling.fleet import Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules import labels
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase


def _mask(request: Request, rows: Rows) -> Bools:
    selector = request.cluster_selector
    return labels.in_clusters(
        rows, ("clusterSelector", selector), lambda cluster: selector.matches(cluster.labels)
    )


RULE = FilterRule(
    name="clusterSelector",
    reason="ClusterNotSelected",
    phrase=Phrase(
        "is in a cluster that clusterSelector leaves out", "are in clusters that clusterSelector leaves out"
    ),
    mask=_mask,
    applies=lambda request, _: bool(request.cluster_selector.requirements),
)
