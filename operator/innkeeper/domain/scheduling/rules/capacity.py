"""A host promises no more than it may: by what was promised, never by what happens to be free now.

Three rules, so that the counts tell which resource is short.
"""

from collections.abc import Callable

from innkeeper.domain.quantity import Amounts, format_bytes, format_cpu
from innkeeper.domain.scheduling.columns import Bools
from innkeeper.domain.scheduling.fleet import Fleet, Rows
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.rules.rule import FilterRule, Phrase


def _rule(
    resource: int, name: str, reason: str, *, read: Callable[[Amounts], int], shown: Callable[[int], str]
) -> FilterRule:
    def mask(request: Request, rows: Rows) -> Bools:
        return rows.of(rows.fleet.free[resource]) >= read(request.amounts)

    def detail(request: Request, fleet: Fleet, row: int) -> str:
        free, most = max(0, int(fleet.free[resource, row])), int(fleet.allocatable[resource, row])
        return (
            f"lacks {name}: {shown(read(request.amounts))} wanted, {shown(free)} of {shown(most)} unpromised"
        )

    return FilterRule(
        name=name,
        reason=reason,
        phrase=Phrase(f"lacks {name}", f"lack {name}"),
        mask=mask,
        detail=detail,
    )


CPU = _rule(0, "cpu", "InsufficientCpu", read=lambda amounts: amounts.cpu_millis, shown=format_cpu)
MEMORY = _rule(
    1, "memory", "InsufficientMemory", read=lambda amounts: amounts.memory_bytes, shown=format_bytes
)
DISK = _rule(2, "disk", "InsufficientDisk", read=lambda amounts: amounts.disk_bytes, shown=format_bytes)
