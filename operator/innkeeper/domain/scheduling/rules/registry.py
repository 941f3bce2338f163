"""Every rule in the order in which it is asked: a host counts for the first rule that it fails.

To add a rule: a file beside this one, and a line here.
"""

from innkeeper.domain.scheduling.rules import (
    capacity,
    cluster,
    host_selector,
    leaving,
    pool,
    readiness,
    refused,
    unschedulable,
)
from innkeeper.domain.scheduling.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    cluster.RULE,
    pool.RULE,
    host_selector.RULE,
    leaving.RULE,
    readiness.RULE,
    unschedulable.RULE,
    refused.RULE,
    capacity.CPU,
    capacity.MEMORY,
    capacity.DISK,
)
