"""How many guests of a line can be served now, so that each of them looks and nobody else does.

A guest that asks for two addresses may stand first while there is one: those behind it take what is more than its turn.
"""

from itertools import islice

from innkeeper.state import waiting
from innkeeper.state.claims import Claims
from innkeeper.state.pool_catalog import PoolCatalog

_MOST = 16  # that look at once; each of them passes on what it does not take


def servable(cause: str, catalog: PoolCatalog, claims: Claims) -> int:
    """Return how many of those that wait for a cause have their turn: at least one, which sees for itself."""
    name, namespace = waiting.line_of(cause)
    pool = catalog.pool(name)
    if pool is None:
        return 1
    if namespace is not None:
        left = (pool.max_per_namespace or _MOST) - claims.count_of_namespace(name, namespace)
        return max(1, min(left, _MOST))
    free = sum(1 for _ in islice(claims.taken(pool).free(pool.intervals), _MOST))
    return max(1, free)
