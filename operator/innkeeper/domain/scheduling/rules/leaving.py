"""A host that is deleted or lost takes no guests."""

from innkeeper.domain.scheduling.fleet import LEAVING
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase

RULE = FilterRule(
    name="leaving",
    reason="Leaving",
    phrase=Phrase("is deleted or lost", "are deleted or lost"),
    mask=lambda _, rows: (rows.of(rows.fleet.flags) & LEAVING) == 0,
)
