"""A guest may name labels that its host must carry."""

from innkeeper.domain.scheduling.columns import Bools
from innkeeper.domain.scheduling.fleet import Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules import labels
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase


def _mask(request: Request, rows: Rows) -> Bools:
    first, *others = request.host_selector.requirements
    found = labels.mask(first, rows)
    for each in others:
        found &= labels.mask(each, rows)
    return found


RULE = FilterRule(
    name="hostSelector",
    reason="HostNotSelected",
    phrase=Phrase("is left out by hostSelector", "are left out by hostSelector"),
    mask=_mask,
    applies=lambda request, _: bool(request.host_selector.requirements),
)
