"""A guest's pool, and addresses that it holds already, reach only some clusters."""

from innkeeper.domain.scheduling.rules.rule import Rule

RULE = Rule(
    "pool",
    lambda request, host: request.clusters is None or host.cluster in request.clusters,
    "in a cluster that the pool does not serve",
)
