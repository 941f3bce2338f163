"""A host takes guests only while it is Ready: its agent is heard and its hypervisor works."""

from innkeeper.domain.scheduling.rules.rule import Rule

RULE = Rule("readiness", lambda _, host: host.ready, "not ready")
