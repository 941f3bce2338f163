"""A host that refused this guest a while ago is left out for a while."""

import numpy as np

from innkeeper.domain.scheduling.columns import Bools
from innkeeper.domain.scheduling.fleet import Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase


def _mask(request: Request, rows: Rows) -> Bools:
    known = rows.fleet.row_of
    avoided = [known[name] for name in request.avoid if name in known]
    return ~np.isin(np.asarray(rows.numbers), avoided)


RULE = FilterRule(
    name="refused",
    reason="RefusedLately",
    phrase=Phrase("refused it lately", "refused it lately"),
    mask=_mask,
    applies=lambda request, _: bool(request.avoid),
)
