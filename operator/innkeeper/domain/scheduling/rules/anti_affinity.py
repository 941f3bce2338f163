"""A guest may keep certain guests out of its places: it goes to none where they are, and they to none where it is."""

import numpy as np

from innkeeper.domain.scheduling.columns import Bools
from innkeeper.domain.scheduling.fleet import Fleet, Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase


def _mask(request: Request, rows: Rows) -> Bools:
    crowd = rows.fleet.crowd
    found = np.ones(len(rows), dtype=np.bool_)
    for term in request.apart:
        found &= rows.counts(crowd.members(term.group), term.topology_key) == 0
    for term, keepers in crowd.keepers_against(request):
        found &= rows.counts(keepers, term.topology_key) == 0
    return found


def _applies(request: Request, fleet: Fleet) -> bool:
    return bool(request.apart or fleet.crowd.keepers_against(request))


RULE = FilterRule(
    name="antiAffinity",
    reason="NotApart",
    phrase=Phrase("has guests that antiAffinity keeps apart", "have guests that antiAffinity keeps apart"),
    mask=_mask,
    applies=_applies,
)
