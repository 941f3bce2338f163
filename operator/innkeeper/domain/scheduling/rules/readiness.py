"""A host takes guests only while it is Ready: its heartbeat is heard and its hypervisor works."""

from innkeeper.domain.scheduling.fleet import NOT_READY
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase

RULE = FilterRule(
    name="readiness",
    reason="NotReady",
    phrase=Phrase("is not ready", "are not ready"),
    mask=lambda _, rows: (rows.of(rows.fleet.flags) & NOT_READY) == 0,
)
