"""What a host may promise to guests: (capacity - reserved) * overcommit, each of cpu, memory and disk for itself.

Pure. The scheduler and the agent both count with it, so they agree on what fits; the amounts come from the machine's
report and from the admin's Host.
"""

from innkeeper.domain.quantity import Amounts
from innkeeper.views.host import Overcommit, Reserved
from innkeeper.views.meta import Resources


def allocatable(capacity: Amounts, *, reserved: Reserved, overcommit: Overcommit) -> Amounts:
    """Return what may be promised; never below nothing, and never above what is counted (`quantity.MOST`).

    Raises:
        ValueError: a reserved amount is no quantity.
    """
    kept = Amounts.of(Resources(cpu=reserved.cpu, memory=reserved.memory, disk=reserved.disk))
    left = capacity.bounded() - kept
    promised = Amounts(
        max(0, left.cpu_millis * overcommit.cpu_percent // 100),
        max(0, left.memory_bytes * overcommit.memory_percent // 100),
        max(0, left.disk_bytes * overcommit.disk_percent // 100),
    )
    return promised.bounded()
