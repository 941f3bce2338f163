"""A host in maintenance takes no new guests; those it has stay until somebody moves them."""

from innkeeper.domain.scheduling.fleet import MAINTENANCE
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase

RULE = FilterRule(
    name="maintenance",
    reason="Maintenance",
    phrase=Phrase("is in maintenance", "are in maintenance"),
    mask=lambda _, rows: (rows.of(rows.fleet.flags) & MAINTENANCE) == 0,
)
