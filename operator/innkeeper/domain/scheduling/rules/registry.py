"""Every rule in the order in which it is asked: a host counts for the first rule that it fails.

To add a rule: a file beside this one, and a line here. Rules that rule out cheaply come first; those about other guests
come last.
"""

from innkeeper.domain.scheduling.rules import (
    affinity,
    anti_affinity,
    capacity,
    cluster,
    cluster_selector,
    host_selector,
    image_locality,
    leaving,
    mac,
    maintenance,
    pool,
    readiness,
    refused,
    soft_affinity,
    soft_spread,
    soft_taints,
    spread,
    strategy,
    taints,
    unschedulable,
)
from innkeeper.domain.scheduling.rules.rule import FilterRule, ScoreRule

FILTERS: tuple[FilterRule, ...] = (
    cluster.RULE,
    cluster_selector.RULE,
    pool.SERVED,
    pool.FREE,
    mac.RULE,
    host_selector.RULE,
    leaving.RULE,
    readiness.RULE,
    maintenance.RULE,
    unschedulable.RULE,
    taints.RULE,
    refused.RULE,
    capacity.CPU,
    capacity.MEMORY,
    capacity.DISK,
    affinity.RULE,
    anti_affinity.RULE,
    spread.RULE,
)
SCORES: tuple[ScoreRule, ...] = (
    strategy.RULE,
    soft_taints.RULE,
    soft_affinity.RULE,
    soft_spread.RULE,
    image_locality.RULE,
)
