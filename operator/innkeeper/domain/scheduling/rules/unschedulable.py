"""A host that an admin closed takes no new guests; those that it has run on."""

from innkeeper.domain.scheduling.rules.rule import Rule

RULE = Rule("unschedulable", lambda _, host: not host.unschedulable, "unschedulable")
