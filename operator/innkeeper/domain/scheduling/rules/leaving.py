"""A host that is deleted or lost takes no guests."""

from innkeeper.domain.scheduling.rules.rule import Rule

RULE = Rule("leaving", lambda _, host: not host.leaving, "deleted or lost")
