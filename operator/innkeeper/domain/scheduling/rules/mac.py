"""A MAC belongs to one guest of a cluster: a guest whose MAC another one has there goes to another cluster, or waits."""

from innkeeper.domain.scheduling.columns import Bools
from innkeeper.domain.scheduling.fleet import Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules import labels
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase


def _mask(request: Request, rows: Rows) -> Bools:
    taken = request.mac_in_use
    return labels.in_clusters(rows, ("mac", taken), lambda cluster: cluster.name not in taken)


RULE = FilterRule(
    name="mac",
    reason="MacInUse",
    phrase=Phrase(
        "is in a cluster where another guest has its MAC", "are in clusters where another guest has its MAC"
    ),
    mask=_mask,
    applies=lambda request, _: bool(request.mac_in_use),
)
