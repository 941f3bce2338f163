"""A guest may name its cluster."""

from innkeeper.domain.scheduling.rules.rule import Rule

RULE = Rule("cluster", lambda request, host: request.cluster in (None, host.cluster), "in another cluster")
