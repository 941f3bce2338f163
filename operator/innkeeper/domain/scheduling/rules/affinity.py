"""A guest may ask to be where certain guests are.

The first guest of a group that asks for its own group passes everywhere, or no group could ever begin.
"""

import numpy as np

from innkeeper.domain.scheduling.columns import ABSENT, Bools
from innkeeper.domain.scheduling.fleet import Rows
from innkeeper.domain.scheduling.request import Request, Term
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase
from innkeeper.views.placement import HOST_TOPOLOGY


def _mask(request: Request, rows: Rows) -> Bools:
    found = np.ones(len(rows), dtype=np.bool_)
    for term in request.near:
        found &= _is_near(request, term, rows)
    return found


def _is_near(request: Request, term: Term, rows: Rows) -> Bools:
    tally = rows.fleet.crowd.members(term.group)
    if tally.total == 0 and request.is_of(term.group):
        return has_place(term, rows)
    return rows.counts(tally, term.topology_key) > 0


def has_place(term: Term, rows: Rows) -> Bools:
    """Tell for each row whether its host carries the label that a term's places are told by."""
    if term.topology_key == HOST_TOPOLOGY:
        return np.ones(len(rows), dtype=np.bool_)
    ids = rows.ids(term.topology_key)
    return np.zeros(len(rows), dtype=np.bool_) if ids is None else ids != ABSENT


RULE = FilterRule(
    name="affinity",
    reason="NotNear",
    phrase=Phrase("is not where affinity wants it", "are not where affinity wants it"),
    mask=_mask,
    applies=lambda request, _: bool(request.near),
)
