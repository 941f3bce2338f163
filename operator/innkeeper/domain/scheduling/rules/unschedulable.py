"""A host that an admin closed takes no new guests; those that it has run on."""

from innkeeper.domain.scheduling.fleet import UNSCHEDULABLE
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase

RULE = FilterRule(
    name="unschedulable",
    reason="Unschedulable",
    phrase=Phrase("is unschedulable", "are unschedulable"),
    mask=lambda _, rows: (rows.of(rows.fleet.flags) & UNSCHEDULABLE) == 0,
)
