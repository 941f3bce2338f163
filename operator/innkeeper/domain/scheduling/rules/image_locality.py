"""How much of the guest's image a host has already: what is there need not come over the wire.

It weighs a quarter of what room weighs, so that the guests of one image do not fill up one host after another.
"""

from innkeeper.domain.scheduling.fleet import Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules.rule import ScoreRule, Scores


def _scores(request: Request, rows: Rows) -> Scores:
    return rows.fleet.images.shares(request.image, rows.numbers)


RULE = ScoreRule(
    name="imageLocality",
    scores=_scores,
    weight=0.25,
    applies=lambda request, fleet: fleet.images.is_anywhere(request.image),
)
